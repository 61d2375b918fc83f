"""upg export: what is written is what was read, for the packages of others and for upg itself."""
import json
import resource

import checkpoint
import numpy as np
import pytest
from gguf import GGUFReader
from gguf.quants import dequantize
from safetensors import safe_open

LLAMA = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "tie_word_embeddings": True}
LONG_ROPE = {"partial_rotary_factor": 0.75, "original_max_position_embeddings": 64, "max_position_embeddings": 1024,
             "rope_scaling": {"type": "longrope", "short_factor": [1.0] * 12, "long_factor": [1.5] * 12}}
WIDTH_576 = {"hidden_size": 576, "num_attention_heads": 9, "num_key_value_heads": 3, "intermediate_size": 320,
             "num_hidden_layers": 1}


def hf_tensors(folder):
    """Tensors of a directory as bits: uint16 of BF16."""
    tensors = {}
    for path in folder.glob("*.safetensors"):
        data = path.read_bytes()
        n = int.from_bytes(data[:8], "little")
        for name, t in json.loads(data[8:8 + n]).items():
            if name != "__metadata__":
                assert t["dtype"] == "BF16", name
                begin, end = t["data_offsets"]
                tensors[name] = np.frombuffer(data[8 + n + begin:8 + n + end], np.uint16).reshape(t["shape"])
    return tensors


def logits(upg, model, out):
    done = upg("logits", model, out, "--ids", "7,300,45,101,9", "--compute", "reference")
    assert done.returncode == 0, done.stderr
    return np.load(out)


def export(upg, *args):
    done = upg("export", *args)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("config", [{}, LONG_ROPE, LLAMA, {**LLAMA, **WIDTH_576}],
                         ids=["phi3", "longrope", "llama", "576"])
def test_a_checkpoint_comes_back_bit_for_bit(upg, tmp_path, config):
    original = {name: checkpoint.to_bf16(x) for name, x in checkpoint.write(tmp_path / "a", **config).items()}
    export(upg, tmp_path / "a", tmp_path / "b")
    export(upg, tmp_path / "b", tmp_path / "c.gguf", "--format", "gguf")
    export(upg, tmp_path / "c.gguf", tmp_path / "d", "--threads", "1")
    for folder in ("b", "d"):
        copy = hf_tensors(tmp_path / folder)
        assert copy.keys() == original.keys()
        for name, bits in original.items():
            assert np.array_equal(copy[name], bits), name
        assert (tmp_path / folder / "generation_config.json").exists()
    want = logits(upg, tmp_path / "a", tmp_path / "a.npy")
    assert np.array_equal(want, logits(upg, tmp_path / "b", tmp_path / "b.npy"))
    ids = [upg("tokenize", tmp_path / model, "the tin <|im_end|>", "--parse-special").stdout
           for model in ("a", "b", "c.gguf", "d")]
    assert ids[0] and len(set(ids)) == 1


def test_gguf_says_what_the_package_reads(upg, tmp_path):
    original = checkpoint.write(tmp_path / "a", **LONG_ROPE)
    export(upg, tmp_path / "a", tmp_path / "a.gguf", "--format", "gguf")
    reader = GGUFReader(tmp_path / "a.gguf")
    tensors = {t.name: dequantize(t.data, t.tensor_type) for t in reader.tensors}
    pairs = {"token_embd": "model.embed_tokens", "output": "lm_head", "output_norm": "model.norm",
             "blk.1.attn_qkv": "model.layers.1.self_attn.qkv_proj", "blk.0.ffn_up": "model.layers.0.mlp.gate_up_proj",
             "blk.1.ffn_norm": "model.layers.1.post_attention_layernorm"}
    for name, source in pairs.items():
        bits = checkpoint.to_bf16(original[source + ".weight"])
        want = (bits.astype(np.uint32) << 16).view(np.float32)
        assert np.array_equal(tensors[name + ".weight"].reshape(want.shape), want), name
    assert np.array_equal(tensors["rope_factors_long.weight"], np.full(12, 1.5, np.float32))
    fields = {key: field.contents() for key, field in reader.fields.items()}
    assert fields["general.architecture"] == "phi3" and fields["phi3.rope.dimension_count"] == 24
    assert fields["tokenizer.ggml.pre"] == "dbrx" and len(fields["tokenizer.ggml.tokens"]) == 512
    assert fields["tokenizer.ggml.eos_token_id"] == 511
    assert fields["tokenizer.ggml.token_type"][300:302] == [1, 1] and fields["tokenizer.ggml.token_type"][450] == 5


def test_llama_rows_are_permuted_as_others_expect(upg, tmp_path):
    original = checkpoint.write(tmp_path / "a", **LLAMA)
    export(upg, tmp_path / "a", tmp_path / "a.gguf", "--format", "gguf")
    tensors = {t.name: dequantize(t.data, t.tensor_type) for t in GGUFReader(tmp_path / "a.gguf").tensors}
    for name, heads in (("q", 4), ("k", 2)):
        bits = checkpoint.to_bf16(original[f"model.layers.0.self_attn.{name}_proj.weight"]).astype(np.uint32) << 16
        w = bits.view(np.float32)
        want = w.reshape(heads, 2, w.shape[0] // heads // 2, w.shape[1]).swapaxes(1, 2).reshape(w.shape)
        assert np.array_equal(tensors[f"blk.0.attn_{name}.weight"], want)


def test_a_compressed_model_means_the_same_everywhere(upg, tmp_path):
    checkpoint.write(tmp_path / "a", **WIDTH_576)
    text = tmp_path / "text.txt"
    text.write_text(checkpoint.TEXT)
    done = upg("compress", tmp_path / "a", tmp_path / "a.upg", "--ratio", "6", "--effort", "fast", "--tune-steps", "1",
               "--threads", "1", "--calibration", text)
    assert done.returncode == 0, done.stderr
    export(upg, tmp_path / "a.upg", tmp_path / "b")
    export(upg, tmp_path / "a.upg", tmp_path / "b.gguf", "--format", "gguf", "--threads", "1")
    with safe_open(tmp_path / "b" / "model.safetensors", "numpy") as file:
        assert "model.layers.0.self_attn.qkv_proj.weight" in file.keys()
    compressed = logits(upg, tmp_path / "a.upg", tmp_path / "a.npy")
    hf = logits(upg, tmp_path / "b", tmp_path / "b.npy")
    assert np.array_equal(hf, logits(upg, tmp_path / "b.gguf", tmp_path / "c.npy"))
    assert np.abs(hf - compressed).max() < 0.02 * np.abs(compressed).max()


def test_nothing_is_overwritten_and_nothing_left_behind(upg, tmp_path):
    checkpoint.write(tmp_path / "a")
    (tmp_path / "b").mkdir()
    done = upg("export", tmp_path / "a", tmp_path / "b")
    assert done.returncode == 2 and "is there already" in done.stderr
    for destination, format_ in (("c", "hf"), ("c.gguf", "gguf")):
        done = upg("export", tmp_path / "a", tmp_path / destination, "--format", format_,
                   preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (99999, 99999)))
        assert done.returncode == 4 and "too large" in done.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "b"]
    (tmp_path / "c.part").mkdir()
    (tmp_path / "c.part" / "model-00001-of-00002.safetensors").write_text("left by an export that was killed")
    export(upg, tmp_path / "a", tmp_path / "c")
    assert not (tmp_path / "c.part").exists() and not list((tmp_path / "c").glob("model-*"))
