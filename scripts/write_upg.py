#!/usr/bin/env python3
"""Write a reference model as a .upg file that keeps its 8-bit rows.

usage: write_upg.py MODEL_DIR TOKENIZER_DIR TOKENIZER_PACK OUT.upg

MODEL_DIR       the stored form of the training recipe: model.json (config, generation_config, table, parts, bytes,
                sha256) and the xz parts it names. A matrix is int8 rows (NAME:int8) with a float32 scale a row
                (NAME:scale), a norm float32 (NAME:f32); a weight is bf16(int8 * scale), a norm bf16.
TOKENIZER_DIR   tokenizer.json and tokenizer_config.json
TOKENIZER_PACK  the program tokenizer_pack of a build, which packs them

This follows docs/format.md and shares no code with the writer in C. Needs numpy, and libxxhash for the checksums.
"""
import ctypes
import ctypes.util
import hashlib
import json
import lzma
import os
import struct
import subprocess
import sys

import numpy as np

ALIGN = 64
HEADER_KEY = b'"header_xxh3":"'

xxhash = ctypes.CDLL(ctypes.util.find_library("xxhash") or "libxxhash.so.0")
xxhash.XXH3_64bits.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
xxhash.XXH3_64bits.restype = ctypes.c_uint64


def xxh3(data):
    return f"{xxhash.XXH3_64bits(data, len(data)):016x}"


def bf16(values):
    """float32 array -> bf16 bits, rounded to nearest even"""
    bits = np.ascontiguousarray(values, dtype="<f4").view("<u4")
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2")


def load(folder):
    """model.json and a function that gives an array of the stored table"""
    with open(os.path.join(folder, "model.json"), encoding="utf-8") as file:
        model = json.load(file)
    parts, sources = [], []
    for name in model["parts"]:
        with open(os.path.join(folder, name), "rb") as file:
            stored = file.read()
        sources.append({"file": name, "bytes": len(stored), "xxh3": xxh3(stored)})
        parts.append(lzma.decompress(stored))
    blob = b"".join(parts)
    if len(blob) != model["bytes"] or hashlib.sha256(blob).hexdigest() != model["sha256"]:
        raise SystemExit(f"{folder}: the stored weights are damaged")

    def array(key, dtype):
        offset, shape = model["table"][key]
        return np.frombuffer(blob, dtype=dtype, count=int(np.prod(shape)), offset=offset).reshape(shape)

    return model, array, sources


def slots(config):
    """names of the norms and of the slots, in the order of the file"""
    layers = [f"model.layers.{i}." for i in range(config["num_hidden_layers"])]
    norms = [p + n for p in layers for n in ("input_layernorm.weight", "post_attention_layernorm.weight")]
    matrices = [p + n for p in layers
                for n in ("self_attn.qkv_proj", "self_attn.o_proj", "mlp.gate_up_proj", "mlp.down_proj")]
    head = [] if config["tie_word_embeddings"] else ["lm_head"]
    return norms + ["model.norm.weight"], ["model.embed_tokens"] + matrices + head


def plan(config, array, tokenizer):
    """[(name, dtype, shape, bytes)], padded so that each tensor starts at a multiple of 64; and "matrices" """
    norms, matrices = slots(config)
    tensors, parts = [], {}

    def add(name, dtype, values):
        data = values.tobytes()
        tensors.append((name, dtype, list(values.shape), data))
        if len(data) % ALIGN:
            n = -len(data) % ALIGN
            tensors.append((f"pad.{len(tensors)}", "U8", [n], bytes(n)))

    for name in norms:
        add(name, "BF16", bf16(array(name + ":f32", "<f4")))
    for slot in matrices:
        weight = array(slot + ".weight:int8", "i1")
        add(slot + ".row_scale", "F32", array(slot + ".weight:scale", "<f4"))
        add(slot + ".weight", "I8", weight)
        parts[slot] = [{"type": "i8", "rows": weight.shape[0]}]
    tensors.append(("tokenizer", "U8", [len(tokenizer)], tokenizer))
    return tensors, parts


def compose(metadata, tensors):
    """the header, with its own checksum filled in"""
    header, offset = {"__metadata__": metadata}, 0
    for name, dtype, shape, data in tensors:
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [offset, offset + len(data)]}
        offset += len(data)
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-(8 + len(text)) % ALIGN)
    whole = struct.pack("<Q", len(text)) + text
    at = whole.index(HEADER_KEY) + len(HEADER_KEY)
    return whole[:at] + xxh3(whole).encode() + whole[at + 16:]


def main():
    if len(sys.argv) != 5:
        raise SystemExit(__doc__)
    folder, tokenizer_dir, packer, out = sys.argv[1:]
    model, array, sources = load(folder)
    config = dict(model["config"], eos_token_id=model["generation_config"]["eos_token_id"])
    tokenizer = subprocess.run([packer, tokenizer_dir], capture_output=True, check=True).stdout
    tensors, parts = plan(config, array, tokenizer)

    def compact(value):
        return json.dumps(value, separators=(",", ":"))

    metadata = {
        "upg": "1",
        "header_xxh3": "0" * 16,
        "config": compact(config),
        "matrices": compact(parts),
        "checksums": " ".join(xxh3(data) for _, _, _, data in tensors),
        "provenance": compact({"command": "scripts/write_upg.py", "sources": sources,
                               "license": "CC BY-SA 4.0", "card": "models/README.md"}),
    }
    with open(out + ".part", "wb") as file:
        file.write(compose(metadata, tensors))
        for _, _, _, data in tensors:
            file.write(data)
    os.replace(out + ".part", out)
    print(f"{out}: {os.path.getsize(out)} bytes, {len(tensors)} tensors, tokenizer {len(tokenizer)} bytes")


if __name__ == "__main__":
    main()
