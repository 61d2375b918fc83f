"""The same random model as GGUF file and as Hugging Face directory gives the same logits.

The writers are the Python packages gguf and safetensors; what a GGUF converter does to the weights
(q and k of llama permuted, q, k, v and gate, up of phi3 as they are) is done here by its definition.
"""
import json

import gguf
import numpy as np
import pytest
from safetensors.numpy import save_file

WIDTH, FEED, LAYERS, HEADS, KV_HEADS, HEAD, VOCAB, CONTEXT = 64, 96, 2, 4, 2, 16, 40, 256
ORIGINAL = 16  # LongRoPE: short factors up to here
LONG = [1.0 + 0.25 * i for i in range(6)]
SHORT = [1.0 + 0.01 * i for i in range(6)]


def random_model(phi3, tied, seed):
    """Weights by their Hugging Face names."""
    rng = np.random.default_rng(seed)

    def matrix(rows, cols):
        return rng.normal(0, 1.5 / np.sqrt(cols), (rows, cols)).astype(np.float32)

    def norm():
        return rng.uniform(0.5, 1.5, WIDTH).astype(np.float32)

    weights = {"model.embed_tokens.weight": rng.normal(0, 1, (VOCAB, WIDTH)).astype(np.float32),
               "model.norm.weight": norm()}
    if not tied:
        weights["lm_head.weight"] = matrix(VOCAB, WIDTH)
    q, kv = HEADS * HEAD, KV_HEADS * HEAD
    for i in range(LAYERS):
        layer = {"input_layernorm": norm(), "post_attention_layernorm": norm(),
                 "self_attn.o_proj": matrix(WIDTH, q), "mlp.down_proj": matrix(WIDTH, FEED)}
        if phi3:
            layer |= {"self_attn.qkv_proj": matrix(q + 2 * kv, WIDTH),
                      "mlp.gate_up_proj": matrix(2 * FEED, WIDTH)}
        else:
            layer |= {"self_attn.q_proj": matrix(q, WIDTH), "self_attn.k_proj": matrix(kv, WIDTH),
                      "self_attn.v_proj": matrix(kv, WIDTH), "mlp.gate_proj": matrix(FEED, WIDTH),
                      "mlp.up_proj": matrix(FEED, WIDTH)}
        weights |= {f"model.layers.{i}.{name}.weight": value for name, value in layer.items()}
    return weights


def write_hf(folder, weights, phi3, tied):
    config = {"architectures": ["Phi3ForCausalLM" if phi3 else "LlamaForCausalLM"],
              "model_type": "phi3" if phi3 else "llama", "hidden_act": "silu",
              "hidden_size": WIDTH, "intermediate_size": FEED, "num_hidden_layers": LAYERS,
              "num_attention_heads": HEADS, "num_key_value_heads": KV_HEADS, "vocab_size": VOCAB,
              "max_position_embeddings": CONTEXT, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
              "tie_word_embeddings": tied, "bos_token_id": 1, "eos_token_id": 1}
    if phi3:
        config |= {"partial_rotary_factor": 0.75, "original_max_position_embeddings": ORIGINAL,
                   "rope_scaling": {"type": "longrope", "long_factor": LONG, "short_factor": SHORT}}
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def permuted(weight, n_heads):
    """Rows of each head so that (i, i + half) of Hugging Face become (2i, 2i + 1)."""
    return (weight.reshape(n_heads, 2, HEAD // 2, WIDTH).swapaxes(1, 2)
            .reshape(n_heads * HEAD, WIDTH))


NAMES = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output",
         "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
         "self_attn.qkv_proj": "attn_qkv", "self_attn.q_proj": "attn_q",
         "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
         "self_attn.o_proj": "attn_output", "mlp.gate_up_proj": "ffn_up",
         "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down"}


def gguf_name(name):
    name = name.removesuffix(".weight")
    if name.startswith("model.layers."):
        _, _, number, rest = name.split(".", 3)
        return f"blk.{number}.{NAMES[rest]}.weight"
    return NAMES[name] + ".weight"


def write_gguf(path, weights, phi3, quantize=None):
    arch = "phi3" if phi3 else "llama"
    w = gguf.GGUFWriter(path, arch)
    w.add_context_length(CONTEXT)
    w.add_embedding_length(WIDTH)
    w.add_feed_forward_length(FEED)
    w.add_block_count(LAYERS)
    w.add_head_count(HEADS)
    w.add_head_count_kv(KV_HEADS)
    w.add_layer_norm_rms_eps(1e-5)
    w.add_rope_freq_base(10000.0)
    w.add_rope_dimension_count(12 if phi3 else HEAD)
    w.add_file_type(gguf.LlamaFileType.ALL_F32)
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre("gpt-2" if phi3 else "smollm")
    tokens = ["a", "b", "<|endoftext|>", "ab"] + [f"[PAD{i}]" for i in range(4, VOCAB)]
    w.add_token_list(tokens)
    w.add_token_types([1, 1, 3, 1] + [5] * (VOCAB - 4))
    w.add_token_merges(["a b"])
    w.add_eos_token_id(2)
    if phi3:
        w.add_sliding_window(0)
        w.add_rope_scaling_orig_ctx_len(ORIGINAL)
        w.add_tensor("rope_factors_long.weight", np.array(LONG, np.float32))
        w.add_tensor("rope_factors_short.weight", np.array(SHORT, np.float32))
    for name, value in weights.items():
        if "q_proj" in name:
            value = permuted(value, HEADS)
        if "k_proj" in name:
            value = permuted(value, KV_HEADS)
        if quantize and value.ndim == 2:
            w.add_tensor(gguf_name(name), gguf.quants.quantize(value, quantize), raw_dtype=quantize)
        else:
            w.add_tensor(gguf_name(name), value)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


@pytest.fixture
def logits(upg, tmp_path):
    def call(model, ids, compute):
        out = tmp_path / "logits.npy"
        done = upg("logits", model, out, "--ids", ",".join(map(str, ids)), "--kv", "f32",
                   "--compute", compute)
        assert done.returncode == 0, done.stderr
        return np.load(out)

    return call


IDS = [int(i) for i in np.random.default_rng(9).integers(0, VOCAB, 30)]


@pytest.mark.parametrize("compute", ["reference", "fast"])
@pytest.mark.parametrize("phi3, tied", [(True, True), (True, False), (False, True), (False, False)])
def test_gguf_and_hugging_face_give_the_same_logits(logits, tmp_path, phi3, tied, compute):
    weights = random_model(phi3, tied, seed=3)
    write_hf(tmp_path / "hf", weights, phi3, tied)
    write_gguf(tmp_path / "model.gguf", weights, phi3)
    for n in (5, len(IDS)):  # with LongRoPE: short factors, long factors
        hf = logits(tmp_path / "hf", IDS[:n], compute)
        found = logits(tmp_path / "model.gguf", IDS[:n], compute)
        assert hf.shape == found.shape == (n, VOCAB) and hf.std() > 0.5
        if phi3:
            assert np.array_equal(found, hf)
        else:  # pairs lie elsewhere in a head, so its sums run in another order
            assert np.abs(found - hf).max() < 2e-5


@pytest.mark.parametrize("compute", ["reference", "fast"])
@pytest.mark.parametrize("name", ["F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1"])
def test_quantized_gguf_gives_the_logits_of_its_dequantized_weights(logits, tmp_path, name, compute):
    kind = gguf.GGMLQuantizationType[name]
    weights = random_model(phi3=True, tied=False, seed=4)
    rounded = {n: gguf.quants.dequantize(gguf.quants.quantize(v, kind), kind) if v.ndim == 2 else v
               for n, v in weights.items()}
    write_gguf(tmp_path / "packed.gguf", weights, True, quantize=kind)
    write_gguf(tmp_path / "plain.gguf", rounded, True)
    packed = logits(tmp_path / "packed.gguf", IDS, compute)
    plain = logits(tmp_path / "plain.gguf", IDS, compute)
    assert np.abs(packed - plain).max() < 2e-5
