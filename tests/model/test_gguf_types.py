"""Every GGUF type decodes to the same bits as in the reference, the Python package `gguf`."""
import os
import subprocess
import sys

import numpy as np
import pytest
from setting import BUILD
from gguf.quants import dequantize

sys.path.insert(0, os.path.dirname(__file__))
import block_samples as samples

SEED = int(os.environ.get("UPG_SEED", "1"))


@pytest.fixture
def decode():
    """Rows of bytes to rows of float32, by the library."""
    program = BUILD / "tests" / "model" / "decode_rows"

    def call(name, rows, n_cols):
        done = subprocess.run([program, name, str(n_cols)], input=rows.tobytes(),
                              capture_output=True, check=True)
        return np.frombuffer(done.stdout, "<f4").reshape(len(rows), n_cols)

    return call


def assert_same_bits(found, expected):
    """Equal as bits, but for NaN, whose payload no format promises."""
    nan = np.isnan(expected)
    assert np.array_equal(nan, np.isnan(found))
    different = (found.view(np.uint32) != expected.view(np.uint32)) & ~nan
    assert not different.any(), (np.argwhere(different)[:5], found[different][:5],
                                 expected[different][:5])


@pytest.mark.parametrize("name", samples.TYPES)
def test_blocks_decode_as_in_the_reference(decode, name):
    rng = np.random.default_rng(SEED)
    n_weights, n_bytes = samples.block_size(name)
    blocks = np.concatenate([samples.random_blocks(rng, name, 4000),
                             samples.extreme_blocks(rng, name)])
    with np.errstate(all="ignore"):
        expected = dequantize(blocks, samples.qtype(name))
    assert_same_bits(decode(name, blocks, n_weights), expected)
    rows = blocks[:4000].reshape(-1, 5 * n_bytes)  # several blocks a row
    assert_same_bits(decode(name, rows, 5 * n_weights), expected[:4000].reshape(-1, 5 * n_weights))


@pytest.mark.parametrize("name", ["Q8_0", "Q4_1", "Q6_K"])
def test_every_scale_decodes_as_in_the_reference(decode, name):
    rng = np.random.default_rng(SEED)
    scales = np.arange(65536, dtype="<u2").view("<f2")
    blocks = samples.with_scales(samples.random_blocks(rng, name, 65536), name, scales)
    with np.errstate(all="ignore"):
        expected = dequantize(blocks, samples.qtype(name))
    assert_same_bits(decode(name, blocks, samples.block_size(name)[0]), expected)


@pytest.mark.parametrize("name", ["F16", "BF16"])
def test_every_half_decodes_as_in_the_reference(decode, name):
    halves = np.arange(65536, dtype="<u2").reshape(64, 1024)
    expected = dequantize(halves.view("<f2" if name == "F16" else np.uint8), samples.qtype(name))
    assert_same_bits(decode(name, halves, 1024), expected.reshape(64, 1024))
