"""Blocks of the GGUF types for tests: random ones, and those at the ends of every field's range."""
import numpy as np
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType

TYPES = ["Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K"]

# Where a type's binary16 scales are in a block.
SCALES = {"Q8_0": [0], "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2],
          "Q2_K": [80, 82], "Q3_K": [108], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208]}


def qtype(name):
    return GGMLQuantizationType[name]


def block_size(name):
    """Weights and bytes of a block."""
    return GGML_QUANT_SIZES[qtype(name)]


def with_scales(blocks, name, scales):
    """The blocks with these binary16 values, shape [n_blocks] or one, as their scales."""
    blocks = blocks.copy()
    for offset in SCALES[name]:
        blocks[:, offset:offset + 2] = np.asarray(scales, "<f2").reshape(-1, 1).view(np.uint8)
    return blocks


def random_blocks(rng, name, n):
    """Any bytes, with scales as real files have them."""
    blocks = rng.integers(0, 256, (n, block_size(name)[1]), np.uint8)
    return with_scales(blocks, name, rng.normal(0, 0.01, n))


def extreme_blocks(rng, name):
    """All bits 0, all 1, halves of them; each with scales from the least to NaN."""
    fills = [0x00, 0xFF, 0x0F, 0xF0, 0x7F, 0x80, 0xAA]
    scales = np.array([0.0, -0.0, 6e-8, -6e-5, 1.0, -65504.0, np.inf, -np.inf, np.nan])
    blocks = np.repeat(np.array(fills, np.uint8), len(scales))[:, None]
    blocks = np.repeat(blocks, block_size(name)[1], axis=1)
    blocks = with_scales(blocks, name, np.tile(scales, len(fills)))
    return np.concatenate([blocks, rng.integers(0, 256, (8, blocks.shape[1]), np.uint8)])
