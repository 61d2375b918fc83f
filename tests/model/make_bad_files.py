#!/usr/bin/env python3
"""Write tests/data/bad/upg (files that must be refused, with a README) and seeds of the fuzz corpora.

usage: make_bad_files.py     (from anywhere; needs numpy)

The good file is a model of one layer and width 8 with a matrix of every type; each bad one differs from it in what its
line of the table below says. Everything comes from docs/format.md by way of scripts/write_upg.py.
"""
import json
import os
import struct
import sys

import numpy as np

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "scripts"))
from write_upg import ALIGN, bf16, compose, xxh3  # noqa: E402

CONFIG = {"architectures": ["Phi3ForCausalLM"], "vocab_size": 16, "hidden_size": 8, "intermediate_size": 8,
          "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 4,
          "max_position_embeddings": 32, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
          "tie_word_embeddings": False, "eos_token_id": [3]}
LAYER = "model.layers.0."


class File:
    """A good file as metadata and tensors [name, dtype, shape, bytes], to be changed and then written."""

    def __init__(self):
        random = np.random.default_rng(7)
        self.config = dict(CONFIG)
        self.tensors = []
        self.align = ALIGN
        self.metadata = {"upg": "1", "header_xxh3": "0" * 16}
        for name in ("input_layernorm", "post_attention_layernorm"):
            self.add(LAYER + name + ".weight", "F32", np.ones(8, "<f4"))
        self.add("model.norm.weight", "BF16", bf16(np.ones(8)))
        self.add("model.embed_tokens.weight", "BF16", bf16(random.standard_normal((16, 8))))
        self.add(LAYER + "self_attn.qkv_proj.q.row_scale", "F32", np.full(8, 0.01, "<f4"))
        self.add(LAYER + "self_attn.qkv_proj.q.weight", "I8", random.integers(-127, 128, (8, 8)).astype("i1"))
        self.add(LAYER + "self_attn.qkv_proj.kv.weight", "F16", random.standard_normal((8, 8)).astype("<f2"))
        scale = np.zeros(128, "<f2")
        scale[:8] = 0.02
        self.add(LAYER + "self_attn.o_proj.row_scale", "F16", scale)
        self.add(LAYER + "self_attn.o_proj.gain", "F32", np.ones(1, "<f4"))
        self.add(LAYER + "self_attn.o_proj.codes", "U8", random.integers(0, 256, 128 * 64 * 2 // 8).astype("u1"))
        self.add(LAYER + "mlp.gate_up_proj.weight", "BF16", bf16(random.standard_normal((16, 8))))
        self.add(LAYER + "mlp.down_proj.weight", "F32", random.standard_normal((8, 8)).astype("<f4"))
        self.add("lm_head.weight", "BF16", bf16(random.standard_normal((16, 8))))
        self.matrices = {
            "model.embed_tokens": [{"type": "bf16", "rows": 16}],
            LAYER + "self_attn.qkv_proj": [{"type": "i8", "rows": 8, "part": "q"},
                                           {"type": "f16", "rows": 8, "part": "kv"}],
            LAYER + "self_attn.o_proj": [{"type": "upg2", "rows": 8, "seed_in": "0123456789abcdef"}],
            LAYER + "mlp.gate_up_proj": [{"type": "bf16", "rows": 16}],
            LAYER + "mlp.down_proj": [{"type": "f32", "rows": 8}],
            "lm_head": [{"type": "bf16", "rows": 16}],
        }

    def add(self, name, dtype, values):
        self.tensors.append([name, dtype, list(values.shape), values.tobytes()])

    def tensor(self, name):
        return next(t for t in self.tensors if t[0] == name)

    def patch(self, name, at, data):
        tensor = self.tensor(name)
        tensor[3] = tensor[3][:at] + data + tensor[3][at + len(data):]

    def drop(self, name):
        self.tensors.remove(self.tensor(name))

    def bytes(self, change_header=None):
        """The file; change_header may edit the header's text before its checksum is taken."""
        placed = []
        for i, tensor in enumerate(self.tensors):
            placed.append(tensor)
            over = len(tensor[3]) % self.align
            if over and i + 1 < len(self.tensors):
                placed.append([f"pad.{len(placed)}", "U8", [self.align - over], bytes(self.align - over)])
        metadata = dict(self.metadata)
        metadata.setdefault("config", json.dumps(self.config, separators=(",", ":")))
        metadata.setdefault("matrices", json.dumps(self.matrices, separators=(",", ":")))
        metadata["checksums"] = " ".join(xxh3(t[3]) for t in placed)
        header = compose({k: v for k, v in metadata.items() if v is not None}, placed)
        data = b"".join(t[3] for t in placed)
        if change_header:
            text = change_header(header[8:].decode("latin-1").rstrip(" ")).encode("latin-1")
            text += b" " * (-(8 + len(text)) % ALIGN)
            header = struct.pack("<Q", len(text)) + text
        return header + data


def changed(edit):
    """bytes of the good file after edit(file)"""
    file = File()
    edit(file)
    return file.bytes()


def text(old, new):
    """bytes of the good file with a part of the header's text replaced"""
    def replace(header):
        if old not in header:
            raise SystemExit(f"the header has no {old}")
        return header.replace(old, new, 1)

    return File().bytes(replace)


def setter(attribute, *path_and_value):
    *path, key, value = path_and_value

    def edit(file):
        target = getattr(file, attribute)
        for step in path:
            target = target[step]
        if value is None:
            del target[key]
        else:
            target[key] = value

    return changed(edit)


GOOD = File().bytes()
HEADER = 8 + struct.unpack("<Q", GOOD[:8])[0]
Q, O, NORM = LAYER + "self_attn.qkv_proj", LAYER + "self_attn.o_proj", "model.norm.weight"
NAN = struct.pack("<H", 0x7FC0)


def misaligned(file):
    file.align = 8


def repeated_part(file):
    file.matrices[Q][1] = dict(file.matrices[Q][0])


def nonzero_padding():
    at = GOOD.index(struct.pack("<f", 1.0) * 8, HEADER) + 32
    return GOOD[:at] + b"\1" + GOOD[at + 1:]


BAD = [
    ("empty", "no bytes at all", b""),
    ("seven_bytes", "shorter than the length field", GOOD[:7]),
    ("only_length", "ends behind the length field", GOOD[:8]),
    ("cut_in_header", "ends within the header", GOOD[:HEADER // 2]),
    ("cut_in_data", "ends within the tensors", GOOD[:-100]),
    ("cut_by_one", "the last byte is missing", GOOD[:-1]),
    ("one_byte_more", "a byte behind the last tensor", GOOD + b"\0"),
    ("header_of_2_63_bytes", "length field far beyond the file", struct.pack("<Q", 2**63) + GOOD[8:]),
    ("header_of_2_64_bytes", "length field that wraps when 8 is added", struct.pack("<Q", 2**64 - 1) + GOOD[8:]),
    ("header_of_0_bytes", "length field is 0", struct.pack("<Q", 0) + GOOD[8:]),
    ("web_page", "a page instead of the file", b"<!DOCTYPE html><html><body>404 Not Found</body></html>\n"),
    ("lfs_pointer", "a pointer of git-lfs instead of the file",
     b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 24859748\n"),
    ("zip", "begins like an archive", b"PK\3\4" + bytes(60)),
    ("gguf_magic_only", "four bytes of GGUF", b"GGUF"),
    ("duplicate_tensor", "a tensor twice", text('"lm_head.weight":', '"model.norm.weight":')),
    ("duplicate_key", "a key twice in an entry", text('"dtype":"F32"', '"dtype":"F32","dtype":"F32"')),
    ("deep_json", "a header of 1000 levels", text('"upg":"1"', '"upg":' + "[" * 1000 + "]" * 1000)),
    ("not_utf8", "a byte that is no UTF-8 in a name", text("lm_head.weight", "lm_head\xff.weight")),
    ("metadata_number", "a value of __metadata__ that is no string", text('"upg":"1"', '"upg":1')),
    ("dtype_unknown", "dtype F32X", text('"dtype":"F32"', '"dtype":"F32X"')),
    ("dtype_other", "a norm of dtype I32", text('"dtype":"F32"', '"dtype":"I32"')),
    ("shape_overflow", "a shape whose product wraps to the right size",
     text('"shape":[16,8]', '"shape":[4294967296,4294967296,128]')),
    ("shape_negative", "a negative dimension", text('"shape":[16,8]', '"shape":[-16,-8]')),
    ("shape_swapped", "rows and columns exchanged", text('"shape":[16,8]', '"shape":[8,16]')),
    ("shape_flat", "one dimension instead of two", text('"shape":[16,8]', '"shape":[128]')),
    ("offsets_reversed", "begin behind end", text('"data_offsets":[0,32]', '"data_offsets":[32,0]')),
    ("offsets_beyond", "end behind the file", text('"data_offsets":[0,32]', '"data_offsets":[0,99999999]')),
    ("offsets_overlap", "two tensors on the same bytes", text('"data_offsets":[64,96]', '"data_offsets":[0,32]')),
    ("offsets_hole", "bytes between two tensors that no tensor has",
     text('"shape":[8],"data_offsets":[0,32]', '"shape":[7],"data_offsets":[0,28]')),
    ("misaligned", "tensors at multiples of 8 only", changed(misaligned)),
    ("padding_not_zero", "a byte hidden in the padding", nonzero_padding()),
    ("no_version", "safetensors without upg metadata", setter("metadata", "upg", None)),
    ("version_2", "a version to come", setter("metadata", "upg", "2")),
    ("no_config", "config missing", changed(lambda f: f.metadata.update(config=None))),
    ("config_array", "config is no object", setter("metadata", "config", "[]")),
    ("config_many_layers", "more layers than any model", setter("config", "num_hidden_layers", 2**40)),
    ("config_wide", "hidden_size that the tensors do not have", setter("config", "hidden_size", 4096)),
    ("config_no_heads", "no heads", setter("config", "num_attention_heads", 0)),
    ("config_bias", "biases that the file does not have", setter("config", "attention_bias", True)),
    ("config_window", "a sliding window", setter("config", "sliding_window", 7)),
    ("config_stop_id", "a stop id beyond the vocabulary", setter("config", "eos_token_id", [16])),
    ("matrices_empty", "no matrices", setter("metadata", "matrices", "{}")),
    ("matrix_type_unknown", "a code to come", setter("matrices", "lm_head", [{"type": "upg7", "rows": 16}])),
    ("matrix_no_parts", "a matrix of no parts", setter("matrices", "lm_head", [])),
    ("matrix_short", "parts with fewer rows than the matrix", setter("matrices", "lm_head", 0, "rows", 15)),
    ("matrix_part_path", "a part's name that is a path", setter("matrices", Q, 0, "part", "../../x")),
    ("matrix_part_twice", "two parts on the same tensors", changed(repeated_part)),
    ("matrix_seed", "a seed that is no hexadecimal number", setter("matrices", O, 0, "seed_in", "-1")),
    ("matrix_code_size", "3 bits announced, 2 stored", setter("matrices", O, 0, "type", "upg3")),
    ("no_row_scale", "8-bit rows without their scales", changed(lambda f: f.drop(Q + ".q.row_scale"))),
    ("no_gain", "codes without their gains", changed(lambda f: f.drop(O + ".gain"))),
    ("no_norm", "a norm is missing", changed(lambda f: f.drop(NORM))),
    ("norm_nan", "a norm that is not a number", changed(lambda f: f.patch(NORM, 6, NAN))),
    ("weight_nan", "a weight that is not a number", changed(lambda f: f.patch("lm_head.weight", 254, NAN))),
    ("row_scale_nan", "a scale that is not a number",
     changed(lambda f: f.patch(Q + ".q.row_scale", 28, struct.pack("<f", float("nan"))))),
    ("row_scale_infinite", "a scale of packed rows that is infinite",
     changed(lambda f: f.patch(O + ".row_scale", 2, struct.pack("<e", float("inf"))))),
    ("gain_infinite", "a gain that is infinite",
     changed(lambda f: f.patch(O + ".gain", 0, struct.pack("<f", float("-inf"))))),
    ("tokenizer_garbage", "a tokenizer of zeros", changed(lambda f: f.add("tokenizer", "U8", np.zeros(100, "u1")))),
    ("tokenizer_empty", "a tokenizer without bytes", changed(lambda f: f.add("tokenizer", "U8", np.zeros(0, "u1")))),
    ("tokenizer_float", "a tokenizer of floats", changed(lambda f: f.add("tokenizer", "F32", np.zeros(4, "<f4")))),
]

# The fuzzers of the container and of the config begin with these.
CONTAINERS = ["empty", "only_length", "one_byte_more", "duplicate_key", "shape_overflow", "offsets_hole", "offsets_overlap"]
CONFIGS = {
    "small": CONFIG,
    "llama": dict(CONFIG, architectures=["LlamaForCausalLM"], tie_word_embeddings=True),
    "long": dict(CONFIG, original_max_position_embeddings=8, partial_rotary_factor=0.5, sliding_window=262144,
                 rope_scaling={"type": "longrope", "short_factor": [1.0], "long_factor": [2.5]}),
    "parameters": dict(CONFIG, rope_parameters={"rope_type": "su", "rope_theta": 5e5, "short_factor": [1, 1],
                                                "long_factor": [2, 3], "attention_factor": 1.5,
                                                "original_max_position_embeddings": 16}),
    "refused": dict(CONFIG, attention_bias=True, quantization_config={"bits": 4}),
}


def write(folder, name, data):
    path = os.path.join(ROOT, "tests", "data", folder)
    os.makedirs(path, exist_ok=True)
    with open(os.path.join(path, name), "wb") as file:
        file.write(data)


def main():
    lines = ["# Files that must be refused", "",
             "Made by `tests/model/make_bad_files.py`. Opening any of them fails with a message that names the file;",
             "`upg` then ends with status 3.", "", "| file | what is wrong |", "|---|---|"]
    for name, why, data in BAD:
        write("bad/upg", name + ".upg", data)
        lines.append(f"| `{name}.upg` | {why} |")
    write("bad/upg", "README.md", ("\n".join(lines) + "\n").encode())
    by_name = {name: data for name, _, data in BAD}
    write("fuzz/upg", "good.upg", GOOD)
    for name in ("tokenizer_garbage", "matrix_part_twice", "row_scale_infinite"):
        write("fuzz/upg", name + ".upg", by_name[name])
    write("fuzz/safetensors", "good", GOOD)
    for name in CONTAINERS:
        write("fuzz/safetensors", name, by_name[name])
    for name, config in CONFIGS.items():
        write("fuzz/hf_config", name + ".json", json.dumps(config).encode())
    print(f"{len(BAD)} bad files, {sum(len(data) for _, _, data in BAD)} bytes; good: {len(GOOD)} bytes")


if __name__ == "__main__":
    main()
