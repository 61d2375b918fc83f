"""A second decoder of packed matrices, written from docs/codec.md alone and compared with the one in C.

The tables and the test vectors are read from the document, so that it, the decoder here and the library agree.
"""
import re
import subprocess

import numpy as np
import pytest
from setting import BUILD, PATIENCE, ROOT

DOCUMENT = (ROOT / "docs" / "codec.md").read_text(encoding="utf-8")
RATES = {2: (1, 1), 3: (2, 1), 4: (2, 2)}


def dump_codes(*arguments, data=b""):
    done = subprocess.run([BUILD / "tests" / "codec" / "dump_codes", *map(str, arguments)], input=data,
                          capture_output=True, timeout=PATIENCE, check=True)
    return done.stdout


def numbers(text):
    return [int(x) for x in re.findall(r"-?\d+", text)]


def document_code(k):
    """For planes a and b: xor map [4] and table [16], from the table of section 2."""
    planes = []
    for plane in "ab":
        row = re.search(rf"^\| {k} \| {plane} \| \d \| ([^|]*) \| ([^|]*) \|", DOCUMENT, re.M)
        planes.append((numbers(row[1]), numbers(row[2])))
    return planes


def decode_row_block(k, codes):
    """codes [n_groups, 64 k] bytes of a row block -> v [128, 4 n_groups], sections 3 and 4."""
    n_groups = codes.size // (64 * k)
    vectors = codes.reshape(n_groups, k, 64)
    v = np.zeros((n_groups * 8, 64), int)
    first = 0
    for rate, (xor_map, table) in zip(RATES[k], document_code(k)):
        plane = vectors[:, first:first + rate]
        first += rate
        symbols = np.zeros((n_groups, 8, 64), int)
        for step in range(8):
            if rate == 1:
                symbols[:, step] = plane[:, 0] >> step & 1
            else:
                symbols[:, step] = plane[:, step // 4] >> 2 * (step % 4) & 3
        symbols = symbols.reshape(n_groups * 8, 64)
        window = np.zeros(64, int)
        for time, symbol in enumerate(symbols):
            window = window >> rate | symbol << 6 - rate
            v[time] += np.array(table)[window & 15 ^ np.array(xor_map)[window >> 4]]
    # time 8 g + i, lane 4 r + c is row 16 i + r, column 4 g + c
    return v.reshape(n_groups, 8, 16, 4).transpose(1, 2, 0, 3).reshape(128, 4 * n_groups)


def splitmix64(x):
    x = (x + 0x9E3779B97F4A7C15) % 2**64
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    x = (x ^ x >> 27) * 0x94D049BB133111EB % 2**64
    return x ^ x >> 31


def signs(seed, n):
    return np.array([-1 if splitmix64((seed + i) % 2**64) >> 63 else 1 for i in range(n)])


def blocks(n):
    """The sizes of the Hadamard blocks of n padded columns or rows."""
    sizes = [256] * (n // 256)
    return sizes + [size for size in (128, 64) if n % 256 & size]


def hadamard(n):
    h = np.ones((1, 1))
    while len(h) < n:
        h = np.block([[h, h], [h, -h]])
    return h / np.sqrt(n)


def block_diagonal(n):
    h = np.zeros((n, n))
    begin = 0
    for size in blocks(n):
        h[begin:begin + size, begin:begin + size] = hadamard(size)
        begin += size
    return h


def decode_matrix(k, n_rows, n_cols, codes, row_scale, gain, seed_in, seed_out=None):
    """W [n_rows, n_cols] in float64, section 5 and 6."""
    padded_rows, padded_cols = -(-n_rows // 128) * 128, -(-n_cols // 64) * 64
    parts = np.frombuffer(codes, np.uint8).reshape(padded_rows // 128, -1)
    v = np.concatenate([decode_row_block(k, part) for part in parts])
    w = row_scale[:, None].astype(float) * np.repeat(gain.astype(float), 256)[:padded_cols] * v
    w = w @ block_diagonal(padded_cols) * signs(seed_in, padded_cols)
    if seed_out is not None:
        w = signs(seed_out, padded_rows)[:, None] * (block_diagonal(padded_rows) @ w)
    return w[:n_rows, :n_cols]


@pytest.mark.parametrize("k", [2, 3, 4])
def test_tables_of_the_document_are_those_of_the_library(k):
    lines = dump_codes("tables", k).decode().split("\n")
    for line, rate, (xor_map, table) in zip(lines, RATES[k], document_code(k)):
        assert numbers(line) == [rate, *xor_map, *table]
    sigma = re.search(rf"^\| {k} \| a \|.*\| ([\d.]+) \|$", DOCUMENT, re.M)[1]
    assert lines[2] == sigma


@pytest.mark.parametrize("k", [2, 3, 4])
def test_vectors_of_the_document(k):
    codes = np.array([(i + 1) * 2654435761 % 2**32 >> 24 for i in range(2 * 64 * k)], np.uint8)
    v = decode_row_block(k, codes)
    for row in (0, 1, 16, 127):
        stated = re.search(rf"^ +k={k} row {row}: (.*)$", DOCUMENT, re.M)[1]
        assert numbers(stated) == v[row].tolist()
    scales = np.ones(128, np.float16).tobytes() + np.ones(1, np.float32).tobytes()
    # 8 columns are no matrix: the document's two blocks, padded with blocks of zero bytes
    rows = np.frombuffer(dump_codes("rows", k, 128, 64, 0, data=codes.tobytes() + bytes(14 * 64 * k) + scales),
                         np.float32).reshape(128, 64)
    whole = decode_row_block(k, np.concatenate([codes, np.zeros(14 * 64 * k, np.uint8)]))
    undone = rows.astype(float) * signs(0, 64) @ hadamard(64)
    assert np.abs(undone - whole).max() < 1e-3
    assert np.array_equal(whole[:, :8], v)


def test_signs_of_the_document():
    stated = re.search(r"^ +signs of seed 1: (.*)$", DOCUMENT, re.M)[1]
    assert stated == "".join("+-"[int(s < 0)] for s in signs(1, 16))


@pytest.mark.parametrize("k", [2, 3, 4])
@pytest.mark.parametrize("n_rows, n_cols, output", [(128, 64, True), (1, 1, False), (384, 576, True),
                                                    (130, 448, False), (256, 700, True)])
def test_both_decoders_agree_on_random_matrices(k, n_rows, n_cols, output):
    random = np.random.default_rng(n_rows + n_cols + k)
    padded_rows, padded_cols = -(-n_rows // 128) * 128, -(-n_cols // 64) * 64
    codes = random.bytes(padded_rows * padded_cols * k // 8)
    row_scale = random.uniform(0.001, 0.003, padded_rows).astype(np.float16)
    gain = random.uniform(0.5, 2, -(-padded_cols // 256)).astype(np.float32)
    seeds = [int(x) for x in random.integers(0, 2**64, 2 if output else 1, np.uint64)]
    ours = np.frombuffer(dump_codes("rows", k, n_rows, n_cols, *seeds,
                                    data=codes + row_scale.tobytes() + gain.tobytes()), np.float32)
    theirs = decode_matrix(k, n_rows, n_cols, codes, row_scale, gain, *seeds)
    assert np.abs(ours.reshape(n_rows, n_cols) - theirs).max() < 1e-5 * np.abs(theirs).max()


@pytest.mark.parametrize("k, promise", [(2, 0.0727), (3, 0.0190), (4, 0.0052)])
def test_encoded_gaussian_decodes_within_the_promise(k, promise):
    n_rows, n_cols = 256, 1088
    w = np.random.default_rng(k).standard_normal((n_rows, n_cols)).astype(np.float32)
    out = dump_codes("encode", k, n_rows, n_cols, data=w.tobytes())
    n_codes = n_rows * n_cols * k // 8
    row_scale = np.frombuffer(out, np.float16, n_rows, n_codes)
    gain = np.frombuffer(out, np.float32, -1, n_codes + 2 * n_rows)
    parts = np.frombuffer(out, np.uint8, n_codes).reshape(n_rows // 128, -1)
    v = np.concatenate([decode_row_block(k, part) for part in parts])
    stored = row_scale[:, None].astype(float) * np.repeat(gain.astype(float), 256)[:n_cols] * v
    error = np.square(w - stored).sum() / np.square(w.astype(float)).sum()
    assert 4.0**-k < error <= promise
