"""The Python package `safetensors` reads what upg writes, and upg reads what the package writes."""
import json
import os
import struct
import subprocess
import sys

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from setting import BUILD, MODEL, ROOT

sys.path.insert(0, str(ROOT / "scripts"))
from write_upg import xxh3  # noqa: E402

PACK = BUILD / "tests" / "model" / "pack_model"
BAD = ROOT / "tests" / "data" / "bad" / "upg"
WIDTH, FEED_FORWARD, HEADS, KV_HEADS, HEAD_DIM, LAYERS, VOCABULARY = 24, 40, 3, 1, 8, 2, 37


def config():
    return {"architectures": ["LlamaForCausalLM"], "hidden_size": WIDTH, "intermediate_size": FEED_FORWARD,
            "num_hidden_layers": LAYERS, "num_attention_heads": HEADS, "num_key_value_heads": KV_HEADS,
            "vocab_size": VOCABULARY, "max_position_embeddings": 64, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
            "tie_word_embeddings": False, "eos_token_id": 5}


def tensors(dtype):
    shapes = {"model.embed_tokens.weight": (VOCABULARY, WIDTH), "model.norm.weight": (WIDTH,),
              "lm_head.weight": (VOCABULARY, WIDTH)}
    for i in range(LAYERS):
        p = f"model.layers.{i}."
        shapes |= {p + "input_layernorm.weight": (WIDTH,), p + "post_attention_layernorm.weight": (WIDTH,),
                   p + "self_attn.q_proj.weight": (HEADS * HEAD_DIM, WIDTH),
                   p + "self_attn.k_proj.weight": (KV_HEADS * HEAD_DIM, WIDTH),
                   p + "self_attn.v_proj.weight": (KV_HEADS * HEAD_DIM, WIDTH),
                   p + "self_attn.o_proj.weight": (WIDTH, HEADS * HEAD_DIM),
                   p + "mlp.gate_proj.weight": (FEED_FORWARD, WIDTH), p + "mlp.up_proj.weight": (FEED_FORWARD, WIDTH),
                   p + "mlp.down_proj.weight": (WIDTH, FEED_FORWARD)}
    random = np.random.default_rng(3)
    return {name: random.standard_normal(shape).astype(dtype) for name, shape in shapes.items()}


def write_model(folder, values, n_shards=1):
    (folder / "config.json").write_text(json.dumps(config()))
    if n_shards == 1:
        save_file(values, folder / "model.safetensors", metadata={"format": "pt"})
        return
    weight_map = {}
    for i in range(n_shards):
        part = dict(list(values.items())[i::n_shards])
        name = f"model-{i + 1:05}-of-{n_shards:05}.safetensors"
        save_file(part, folder / name, metadata={"format": "pt"})
        weight_map |= {key: name for key in part}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))


def stored_name(name):
    """The name in a .upg file of a tensor of a Llama checkpoint."""
    for old, new in {"self_attn.q_proj": "self_attn.qkv_proj.q", "self_attn.k_proj": "self_attn.qkv_proj.k",
                     "self_attn.v_proj": "self_attn.qkv_proj.v", "mlp.gate_proj": "mlp.gate_up_proj.gate",
                     "mlp.up_proj": "mlp.gate_up_proj.up"}.items():
        name = name.replace(old, new)
    return name


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("n_shards", [1, 3])
def test_models_of_the_package_are_read_and_written_for_it(tmp_path, dtype, n_shards):
    values = tensors(dtype)
    write_model(tmp_path, values, n_shards)
    out = tmp_path / "out.upg"
    subprocess.run([PACK, tmp_path, out], check=True)
    with safe_open(out, "np") as file:
        assert file.metadata()["upg"] == "1"
        assert json.loads(file.metadata()["config"])["eos_token_id"] == [5]
        assert {stored_name(name) for name in values} == {k for k in file.keys() if not k.startswith("pad.")}
        for name, value in values.items():
            assert np.array_equal(file.get_tensor(stored_name(name)), value.astype(np.float32) if value.ndim == 1
                                  else value)


def read_container(path):
    """Bytes of the header, its object, and (name, entry, bytes) of the tensors in file order."""
    with open(path, "rb") as file:
        data = file.read()
    n = 8 + struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:n])
    entries = sorted((e["data_offsets"], name, e) for name, e in header.items() if name != "__metadata__")
    return data[:n], header, [(name, e, data[n + begin:n + end]) for (begin, end), name, e in entries]


def check_rules_of_the_document(path):
    """docs/format.md, sections 1 and 6, by a second reader."""
    raw, header, items = read_container(path)
    metadata, offset = header["__metadata__"], 0
    assert len(raw) % 64 == 0
    for name, entry, data in items:
        assert entry["data_offsets"] == [offset, offset + len(data)]
        if name.startswith("pad."):
            assert len(data) < 64 and not any(data)
        else:
            assert offset % 64 == 0
        offset += len(data)
    assert metadata["checksums"].split(" ") == [xxh3(data) for _, _, data in items]
    digits = metadata["header_xxh3"].encode()
    assert raw.count(digits) == 1
    assert xxh3(raw.replace(digits, b"0" * 16)) == digits.decode()


def test_written_files_keep_the_rules_of_the_document(tmp_path):
    write_model(tmp_path, tensors(np.float32))
    subprocess.run([PACK, tmp_path, tmp_path / "out.upg"], check=True)
    check_rules_of_the_document(tmp_path / "out.upg")
    check_rules_of_the_document(MODEL)


def test_default_model_is_what_its_card_says():
    with safe_open(MODEL, "np") as file:
        metadata = json.loads(file.metadata()["config"])
        assert metadata["hidden_size"] == 512 and metadata["tie_word_embeddings"]
        plain = file.get_slice("model.layers.0.self_attn.o_proj.weight")  # the plan gave it 8 bits
        assert plain.get_dtype() == "I8" and plain.get_shape() == [512, 512]
        codes = file.get_slice("model.layers.0.mlp.down_proj.codes")
        assert codes.get_dtype() == "U8" and file.get_tensor("model.layers.0.mlp.down_proj.row_scale").shape == (512,)
        matrices = json.loads(file.metadata()["matrices"])
        bits, = {part["type"] for part in matrices["model.layers.0.mlp.down_proj"]}
        assert int(np.prod(codes.get_shape())) == 512 * 1792 * int(bits.removeprefix("upg")) // 8
        quality = json.loads(file.metadata()["quality"])
        assert round(quality["kld_mean"], 3) == 0.045 and round(quality["top1_agreement"], 3) == 0.888
    assert os.path.getsize(MODEL) == 12385252


@pytest.mark.parametrize("name", sorted(os.listdir(BAD)))
def test_package_accepts_no_container_that_upg_refuses_as_one(name):
    """Where our reader calls the container itself false, the package must not call it right, or one of us is wrong."""
    path = BAD / name
    message = subprocess.run([PACK, path, os.devnull], capture_output=True, check=False).stderr.decode()
    container = ("duplicate", "data_offsets", "shape ", "of the data", "claims a header", "too few", "nests", "no size")
    if name.endswith(".upg") and any(part in message for part in container):
        with pytest.raises(Exception):
            with safe_open(path, "np"):
                pass
