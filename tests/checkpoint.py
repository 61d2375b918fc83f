"""A Hugging Face directory with random weights, written with NumPy alone: small enough to compress in a second."""
import json

import numpy as np

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_sep|>", "<|im_end|>"]
PATTERN = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
           r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")

TEXT = "the tin hat on the oar; " * 400  # a little more than the compressor needs, in tokens of this tokenizer


def spell(byte):
    """A byte in the alphabet of byte-level tokenizers."""
    plain = [b for b in range(256) if 33 <= b <= 126 or 161 <= b <= 172 or 174 <= b <= 255]
    return chr(byte) if byte in plain else chr(256 + [b for b in range(256) if b not in plain].index(byte))


def tokenizer(n_ids):
    """All bytes, merges of two letters, four control tokens at the end."""
    vocab = {spell(b): b for b in range(256)}
    merges = []
    for pair in (a + b for a in "etaoinshrdlu" for b in "etaoinshrdlu"):
        if len(vocab) < n_ids - len(SPECIAL):
            vocab[pair] = len(vocab)
            merges.append(list(pair))
    added = []
    for i, text in enumerate(SPECIAL):
        vocab[text] = n_ids - len(SPECIAL) + i
        added.append({"id": vocab[text], "content": text, "single_word": False, "lstrip": False, "rstrip": False,
                      "normalized": False, "special": True})
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    split = {"type": "Split", "pattern": {"Regex": PATTERN}, "behavior": "Isolated", "invert": False}
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "normalizer": None,
            "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, byte_level]}, "post_processor": None,
            "decoder": {**byte_level, "use_regex": True},
            "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                      "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
                      "vocab": vocab, "merges": merges}}


def to_bf16(x):
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)


def write_safetensors(path, tensors):
    """tensors: name -> float32 array, stored as BF16."""
    header, offset = {}, 0
    for name, x in tensors.items():
        header[name] = {"dtype": "BF16", "shape": list(x.shape), "data_offsets": [offset, offset + 2 * x.size]}
        offset += 2 * x.size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(len(text).to_bytes(8, "little") + text)
        for x in tensors.values():
            f.write(to_bf16(x).tobytes())


def weights(config, seed=0):
    """Random weights by name, float32."""
    random = np.random.default_rng(seed)
    d, ff, v = config["hidden_size"], config["intermediate_size"], config["vocab_size"]
    heads, kv = config["num_attention_heads"], config["num_key_value_heads"]
    head_dim = d // heads

    def matrix(rows, cols):
        return random.standard_normal((rows, cols), np.float32) * np.float32(cols ** -0.5)

    tensors = {"model.embed_tokens.weight": random.standard_normal((v, d), np.float32),
               "model.norm.weight": np.ones(d, np.float32)}
    for i in range(config["num_hidden_layers"]):
        p = f"model.layers.{i}."
        tensors |= {p + "input_layernorm.weight": 1 + 0.1 * random.standard_normal(d).astype(np.float32),
                    p + "post_attention_layernorm.weight": np.ones(d, np.float32),
                    p + "self_attn.o_proj.weight": matrix(d, d), p + "mlp.down_proj.weight": matrix(d, ff)}
        if config["model_type"] == "phi3":
            tensors |= {p + "self_attn.qkv_proj.weight": matrix((heads + 2 * kv) * head_dim, d),
                        p + "mlp.gate_up_proj.weight": matrix(2 * ff, d)}
        else:
            rows = {"q": heads * head_dim, "k": kv * head_dim, "v": kv * head_dim}
            tensors |= {p + f"self_attn.{x}_proj.weight": matrix(n, d) for x, n in rows.items()}
            tensors |= {p + f"mlp.{x}_proj.weight": matrix(ff, d) for x in ("gate", "up")}
    if not config["tie_word_embeddings"]:
        tensors["lm_head.weight"] = matrix(v, d)
    return tensors


def write(path, change=None, **config):
    """Write a checkpoint into the directory `path`; change(tensors) may alter the weights.  Returns the tensors."""
    config = {"architectures": ["Phi3ForCausalLM"], "model_type": "phi3", "vocab_size": 512, "hidden_size": 128,
              "intermediate_size": 256, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
              "hidden_act": "silu", "max_position_embeddings": 1024, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
              "rope_scaling": None, "tie_word_embeddings": False, "torch_dtype": "bfloat16", **config}
    config.setdefault("eos_token_id", [config["vocab_size"] - 1, config["vocab_size"] - 4])
    tensors = weights(config)
    if change:
        change(tensors)
    path.mkdir(parents=True)
    (path / "config.json").write_text(json.dumps(config))
    (path / "tokenizer.json").write_text(json.dumps(tokenizer(config["vocab_size"])))
    (path / "tokenizer_config.json").write_text("{}")
    write_safetensors(path / "model.safetensors", tensors)
    return tensors
