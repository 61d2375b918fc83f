#!/usr/bin/env python3
"""Step 5: make an ordinary Hugging Face directory (bf16 safetensors) of what train.py saved.

A stored matrix is int8 rows with one float scale a row; the model is bf16(int8 * scale), rounded to nearest even.  Needs
numpy alone.  With --stored it also writes the small form that scripts/write_upg.py reads: model.json, and the
trained bytes in xz parts.
"""

import argparse
import hashlib
import json
import lzma
import pathlib
import shutil
import struct

import numpy as np


def to_bf16(x):
    """float32 -> the bits of bf16, rounded to nearest, ties to even."""
    u = np.ascontiguousarray(x, dtype="<f4").view("<u4")
    return ((u + 0x7FFF + ((u >> 16) & 1)) >> 16).astype("<u2")


def read_tensors(result, blob):
    def get(key, dtype):
        offset, shape = result["table"][key]
        return np.frombuffer(blob, dtype=dtype, count=int(np.prod(shape)), offset=offset).reshape(shape)

    tensors = {}
    for key in result["table"]:
        name, kind = key.split(":")
        if kind == "int8":
            tensors[name] = to_bf16(get(key, "i1").astype("<f4") * get(name + ":scale", "<f4")[:, None])
        elif kind == "f32":
            tensors[name] = to_bf16(get(key, "<f4"))
    return tensors


def write_safetensors(path, tensors):
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for name, bits in tensors.items():
        header[name] = {"dtype": "BF16", "shape": list(bits.shape), "data_offsets": [offset, offset + bits.nbytes]}
        offset += bits.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as out:
        out.write(struct.pack("<Q", len(text)) + text)
        for bits in tensors.values():
            out.write(bits.tobytes())


def config(result):
    shape = result["shape"]
    end, answer_end = 8188, 8191  # <|endoftext|>, <|im_end|>
    generation = {"bos_token_id": end, "eos_token_id": [answer_end, end], "pad_token_id": end}
    return generation, {
        "architectures": ["Phi3ForCausalLM"], "model_type": "phi3", "vocab_size": result["vocab"],
        "hidden_size": shape["hidden"], "intermediate_size": shape["inter"], "num_hidden_layers": shape["layers"],
        "num_attention_heads": shape["heads"], "num_key_value_heads": shape["kv"], "hidden_act": "silu",
        "max_position_embeddings": result["context"], "original_max_position_embeddings": result["context"],
        "rms_norm_eps": result["eps"], "rope_theta": result["theta"], "rope_scaling": None,
        "partial_rotary_factor": 1.0, "sliding_window": None, "attention_bias": False, "attention_dropout": 0.0,
        "embd_pdrop": 0.0, "resid_pdrop": 0.0, "initializer_range": 0.02, "tie_word_embeddings": shape["tied"],
        "torch_dtype": "bfloat16", "use_cache": True, "bos_token_id": end, "eos_token_id": answer_end,
        "pad_token_id": end,
    }  # fmt: skip


def write_stored(folder, result, blob, model, generation):
    part_bytes = 20 << 20
    # Weights have no structure beyond a byte: no literal context, no alignment.
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 6, "lc": 0, "lp": 0, "pb": 0, "dict_size": 1 << 22}]
    parts = []
    for i in range(0, len(blob), part_bytes):
        parts.append(f"weights.{len(parts):02d}.bin.xz")
        packed = lzma.compress(blob[i : i + part_bytes], lzma.FORMAT_XZ, lzma.CHECK_CRC32, filters=filters)
        (folder / parts[-1]).write_bytes(packed)
    stored = {"config": model, "generation_config": generation, "parts": parts, "bytes": len(blob)}
    stored.update(sha256=hashlib.sha256(blob).hexdigest(), table=result["table"])
    (folder / "model.json").write_text(json.dumps(stored, indent=0))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trained", type=pathlib.Path, help="OUT/SIZE.json of train.py; SIZE.bin lies beside it")
    parser.add_argument("tokenizer", type=pathlib.Path, help="folder with tokenizer.json and tokenizer_config.json")
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--stored", type=pathlib.Path, help="folder for the small form")
    options = parser.parse_args()

    result = json.loads(options.trained.read_text())
    blob = options.trained.with_suffix(".bin").read_bytes()
    if len(blob) != result["bytes"]:
        raise SystemExit(f"{options.trained.with_suffix('.bin')}: {len(blob)} bytes instead of {result['bytes']}")
    options.out.mkdir(parents=True, exist_ok=True)
    write_safetensors(options.out / "model.safetensors", read_tensors(result, blob))
    generation, model = config(result)
    (options.out / "config.json").write_text(json.dumps(model, indent=1))
    (options.out / "generation_config.json").write_text(json.dumps(generation, indent=1))
    if options.stored:
        options.stored.mkdir(parents=True, exist_ok=True)
        write_stored(options.stored, result, blob, model, generation)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(options.tokenizer / name, options.out / name)


if __name__ == "__main__":
    main()
