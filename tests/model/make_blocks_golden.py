"""Writes tests/data/gguf/blocks.bin: blocks of every GGUF type and what the reference makes of them.

    python tests/model/make_blocks_golden.py      (needs numpy and gguf 0.19.0)

The reference is gguf.quants.dequantize() of the Python package `gguf`.  A record: type name (8
bytes, zero-padded), number of blocks, bytes of a block, weights of a block (uint32, little-endian),
the blocks, the expected float32 values.
"""
import os
import struct
import sys

import numpy as np
from gguf.quants import dequantize

sys.path.insert(0, os.path.dirname(__file__))
import block_samples as samples

PATH = os.path.join(os.path.dirname(__file__), "..", "data", "gguf", "blocks.bin")
N_RANDOM = 6


def main():
    rng = np.random.default_rng(20240229)
    with open(PATH, "wb") as out, np.errstate(all="ignore"):
        for name in samples.TYPES:
            n_weights, n_bytes = samples.block_size(name)
            extreme = samples.extreme_blocks(rng, name)
            extreme = extreme[rng.permutation(len(extreme))[:10]]
            blocks = np.concatenate([samples.random_blocks(rng, name, N_RANDOM), extreme])
            expected = dequantize(blocks, samples.qtype(name)).astype("<f4")
            assert expected.size == len(blocks) * n_weights
            out.write(struct.pack("<8s3I", name.encode(), len(blocks), n_bytes, n_weights))
            out.write(blocks.tobytes())
            out.write(expected.tobytes())


if __name__ == "__main__":
    main()
