"""The UPG code: docs/codec.md, sections 2 to 5.  From the bytes of a packed matrix to its weights."""
import numpy as np

# Of section 2, a line a plane: rate, xor map, table.
PLANES = {
    2: ((1, (0, 15, 1, 14), (1, -19, 18, -15, -30, 11, -5, 14, 9, -18, -12, 9, 35, -5, 6, -11)),
        (1, (0, 15, 1, 14), (-1, 23, -21, 10, 13, -6, 12, -7, 13, -10, -16, 5, 28, -4, -32, 6))),
    3: ((2, (0, 1, 2, 3), (9, -17, 31, -5, -19, 22, 7, -4, -1, 8, 19, -15, 16, 4, -32, -9)),
        (1, (0, 3, 1, 2), (0, 7, 29, -31, -7, -1, -11, 10, -1, -10, 11, -7, -16, 17, -5, 3))),
    4: ((2, (0, 1, 2, 3), (-39, 25, -3, -8, -10, -25, -16, -4, -14, -6, 1, 10, 8, 3, -2, -12)),
        (2, (0, 1, 2, 3), (-2, 11, 32, -6, 0, 7, 20, -18, 27, 9, -10, 15, -12, 14, 2, 6))),
}


def plane_symbols(vectors, rate):
    """Vectors [n_groups, rate, 64] of one plane -> symbols [8 n_groups, 64]: time down, lanes across."""
    n_groups = len(vectors)
    symbols = np.empty((n_groups, 8, 64), np.uint8)
    for i in range(8):
        if rate == 1:
            symbols[:, i] = vectors[:, 0] >> i & 1
        else:
            symbols[:, i] = vectors[:, i // 4] >> 2 * (i % 4) & 3
    return symbols.reshape(8 * n_groups, 64)


def plane_values(symbols, rate, xor_map, table):
    """The value that each window of 6 bits chooses; before the first symbol there are zeros."""
    window = np.zeros_like(symbols)
    for age in range(6 // rate):  # the symbol that came `age` steps before
        shifted = np.zeros_like(symbols)
        shifted[age:] = symbols[:len(symbols) - age]
        window |= shifted << 6 - rate * (age + 1)
    return np.array(table, np.int8)[window & 15 ^ np.array(xor_map, np.uint8)[window >> 4]]


def decode_row_block(k, codes):
    """Codes [64 k n_groups] of 128 rows -> v, int8 [128, 4 n_groups]."""
    vectors = codes.reshape(-1, k, 64)
    v, first = 0, 0
    for rate, xor_map, table in PLANES[k]:
        v = v + plane_values(plane_symbols(vectors[:, first:first + rate], rate), rate, xor_map, table)
        first += rate
    # time 8 g + i and lane 4 r + c are row 16 i + r and column 4 g + c
    return v.reshape(-1, 8, 16, 4).transpose(1, 2, 0, 3).reshape(128, -1)


def signs(seed, n):
    """D[0 .. n-1] as float32: the top bits of splitmix64(seed + i)."""
    with np.errstate(over="ignore"):
        z = np.uint64(seed) + np.arange(n, dtype=np.uint64) + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ z >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ z >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
        z = z ^ z >> np.uint64(31)
    return np.where(z >> np.uint64(63), np.float32(-1), np.float32(1))


def hadamard(x):
    """H along the last axis of float32 x, in blocks of 256, then 128, then 64."""
    x = x.copy()
    begin = 0
    while begin < x.shape[-1]:
        n = next(size for size in (256, 128, 64) if x.shape[-1] - begin >= size)
        block = x[..., begin:begin + n]
        distance = 1
        while distance < n:
            pairs = block.reshape(*x.shape[:-1], n // (2 * distance), 2, distance)
            a, b = pairs[..., 0, :], pairs[..., 1, :]
            block = np.stack([a + b, a - b], axis=-2).reshape(*x.shape[:-1], n)
            distance *= 2
        x[..., begin:begin + n] = block * np.float32(n ** -0.5)
        begin += n
    return x


def decode_matrix(k, n_rows, n_columns, codes, row_scale, gain, seed_in, seed_out=None):
    """W, float32 [n_rows, n_columns]."""
    padded_rows, padded_columns = -(-n_rows // 128) * 128, -(-n_columns // 64) * 64
    w = np.concatenate([decode_row_block(k, part) for part in codes.reshape(padded_rows // 128, -1)])
    w = w * (row_scale.astype(np.float32)[:, None] * np.repeat(gain, 256)[:padded_columns])
    w = hadamard(w) * signs(seed_in, padded_columns)
    if seed_out is not None:
        w = (hadamard(w.T) * signs(seed_out, padded_rows)).T
    return np.ascontiguousarray(w[:n_rows, :n_columns])
