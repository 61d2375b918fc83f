"""Writes tests/data/fuzz/gguf: small GGUF files, good ones and near misses, where fuzzing starts.

    python tests/model/make_gguf_corpus.py      (needs numpy and gguf 0.19.0)

The good ones come from the writer of the Python package `gguf`.
"""
import os
import pathlib
import struct
import sys

import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter
from gguf.constants import GGUFValueType

sys.path.insert(0, os.path.dirname(__file__))
import block_samples as samples

FOLDER = pathlib.Path(__file__).resolve().parents[1] / "data" / "fuzz" / "gguf"
VOCAB = 12


class Writer:
    """A model of one layer whose matrices have the types asked for, in turn."""

    def __init__(self, name, arch, width, feed, heads, kv_heads, head, types):
        self.rng = np.random.default_rng(len(name))
        self.types, self.n = types, 0
        self.path = FOLDER / name
        self.w = w = GGUFWriter(self.path, arch)
        w.add_block_count(1)
        w.add_context_length(64)
        w.add_embedding_length(width)
        w.add_feed_forward_length(feed)
        w.add_head_count(heads)
        w.add_head_count_kv(kv_heads)
        w.add_key_length(head)
        w.add_value_length(head)
        w.add_layer_norm_rms_eps(1e-5)
        w.add_tokenizer_model("gpt2")
        w.add_tokenizer_pre("dbrx" if arch == "phi3" else "smollm")
        w.add_token_list(["a", "b", "ab", "Ġ", "<|endoftext|>", "<|im_end|>", "[PAD6]"])
        w.add_token_types([1, 1, 1, 1, 3, 3, 5])
        w.add_token_merges(["a b"])
        w.add_eos_token_id(4)
        self.norm("output_norm", width)
        self.norm("blk.0.attn_norm", width)
        self.norm("blk.0.ffn_norm", width)
        self.matrix("token_embd", VOCAB, width)
        q, kv = heads * head, kv_heads * head
        if arch == "phi3":
            self.matrix("blk.0.attn_qkv", q + 2 * kv, width)
            self.matrix("blk.0.ffn_up", 2 * feed, width)
        else:
            self.matrix("blk.0.attn_q", q, width)
            self.matrix("blk.0.attn_k", kv, width)
            self.matrix("blk.0.attn_v", kv, width)
            self.matrix("blk.0.ffn_gate", feed, width)
            self.matrix("blk.0.ffn_up", feed, width)
        self.matrix("blk.0.attn_output", width, q)
        self.matrix("blk.0.ffn_down", width, feed)

    def norm(self, name, n):
        self.w.add_tensor(name + ".weight", np.ones(n, np.float32))

    def matrix(self, name, rows, cols):
        kind = self.types[self.n % len(self.types)]
        self.n += 1
        if kind == "F32":
            data = self.rng.normal(0, 1, (rows, cols)).astype(np.float32)
        elif kind in ("F16", "BF16"):
            data = self.rng.normal(0, 1, (rows, cols)).astype(np.float16)
        else:
            data = samples.random_blocks(self.rng, kind, rows * cols // samples.block_size(kind)[0])
            data = data.reshape(rows, -1)
        if kind == "BF16":
            data = data.view(np.uint8)
        self.w.add_tensor(name + ".weight", data, raw_dtype=GGMLQuantizationType[kind])

    def close(self):
        self.w.write_header_to_file()
        self.w.write_kv_data_to_file()
        self.w.write_tensors_to_file()
        self.w.close()
        return self.path.read_bytes()


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    long = Writer("phi3_long.gguf", "phi3", 32, 32, 2, 1, 8, ["Q4_0", "F16", "Q8_0", "F32", "BF16"])
    long.w.add_rope_dimension_count(6)
    long.w.add_rope_scaling_orig_ctx_len(16)
    long.w.add_rope_scaling_attn_factors(1.1)
    long.w.add_sliding_window(262144)
    long.w.add_tensor("rope_factors_long.weight", np.array([1, 2, 3], np.float32))
    long.w.add_tensor("rope_factors_short.weight", np.array([1, 1, 1], np.float32))
    good = long.close()

    # Rows of 256 for the K types; head and feed-forward width allow blocks of 32.
    kinds = Writer("llama_k.gguf", "llama", 256, 32, 4, 1, 8,
                   ["Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "Q2_K", "Q5_0", "Q5_1"])
    kinds.w.add_vocab_size(VOCAB)
    kinds.close()

    values = Writer("values.gguf", "llama", 32, 32, 1, 1, 32, ["Q4_1"])
    values.w.data_alignment = 64
    values.w.add_uint32("general.alignment", 64)
    for kind in GGUFValueType:
        if kind not in (GGUFValueType.ARRAY, GGUFValueType.STRING):
            value = True if kind == GGUFValueType.BOOL else 7
            values.w.add_key_value(f"test.{kind.name.lower()}", value, kind)
    values.w.add_array("test.nested", [[1, 2], [3]])
    values.w.add_array("test.texts", ["", "x"])
    values.w.add_chat_template("{% for message in messages %}{{ message.content }}{% endfor %}")
    values.w.add_tensor("output.weight", np.ones((VOCAB, 32), np.float16))
    values.close()

    def near_miss(name, data):
        (FOLDER / name).write_bytes(data)

    near_miss("version_2.gguf", good[:4] + struct.pack("<I", 2) + good[8:])
    near_miss("big_endian.gguf", good[:4] + struct.pack(">I", 3) + good[8:])
    near_miss("cut_in_data.gguf", good[:-40])
    near_miss("cut_in_header.gguf", good[:300])
    near_miss("many_tensors.gguf", good[:8] + struct.pack("<Q", 2**61) + good[16:])
    near_miss("key_twice.gguf", good.replace(b"phi3.block_count", b"phi3.block_coun\x00")
              .replace(b"tokenizer.ggml.pre", b"tokenizer.ggml.mod"))
    at = good.index(b"blk.0.ffn_up.weight") + 19 + 4  # its shape
    near_miss("shape_overflow.gguf", good[:at] + struct.pack("<QQ", 2**40, 2**40) + good[at + 16:])
    near_miss("overlap.gguf", good[:at + 20] + struct.pack("<Q", 0) + good[at + 28:])


if __name__ == "__main__":
    main()
