"""upg.reference: the inference of a .upg file in plain NumPy, to be read and to be compared with.

It is written from docs/format.md, docs/codec.md and docs/format-tokenizer.md and shares no code with the library; where
both agree, the documents say enough.  Weights are decoded to float32, everything else is float64.

    from upg.reference import Model

    model = Model("models/default.upg")
    print(model.generate("Once upon a time", max_tokens=20))
"""
import math

import numpy as np

from .container import Container
from .tokenizer import Tokenizer

__all__ = ["Container", "Model", "Tokenizer"]


def rms_norm(x, weight, eps):
    """x [n, d] scaled to a root mean square of 1, times a weight [d]."""
    return x / np.sqrt(np.mean(np.square(x), axis=-1, keepdims=True) + eps) * weight


def silu(x):
    return x / (1 + np.exp(-x))


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


class Rope:
    """Rotary positions: docs/format.md, section 8."""

    def __init__(self, config, head_dim):
        self.n_dims = int(head_dim * config.get("partial_rotary_factor", 1))
        self.interleaved = config.get("interleaved_rope_pairs", False)
        self.base = float(config["rope_theta"]) ** (np.arange(0, self.n_dims, 2) / self.n_dims)
        self.scaling = config.get("rope_scaling")
        self.original = config.get("original_max_position_embeddings") or config["max_position_embeddings"]
        self.magnitude = 1.0
        if self.scaling:
            extension = config["max_position_embeddings"] / self.original
            follows = math.sqrt(1 + math.log(extension) / math.log(self.original)) if extension > 1 else 1.0
            self.magnitude = self.scaling.get("attention_factor") or follows

    def inverse(self, n_tokens):
        """Inverse frequencies [n_dims / 2], float32, for a text of n_tokens."""
        if not self.scaling:
            return (1 / self.base).astype(np.float32)
        factors = self.scaling["long_factor" if n_tokens > self.original else "short_factor"]
        return (1 / (np.array(factors) * self.base)).astype(np.float32)

    def rotate(self, x, inverse):
        """x [n, heads, head_dim] at positions 0 .. n-1."""
        positions = np.arange(len(x), dtype=np.float32)
        angles = (positions[:, None] * inverse).astype(float)[:, None, :]  # products in float32
        cosine, sine = self.magnitude * np.cos(angles), self.magnitude * np.sin(angles)
        half = self.n_dims // 2
        first, second = ((slice(0, self.n_dims, 2), slice(1, self.n_dims, 2)) if self.interleaved
                         else (slice(0, half), slice(half, self.n_dims)))
        a, b = x[..., first], x[..., second]
        y = x.copy()
        y[..., first], y[..., second] = a * cosine - b * sine, b * cosine + a * sine
        return y


class Model:
    """A .upg file.  keep: hold decoded matrices (4 bytes a weight) instead of decoding them for each use."""

    def __init__(self, path, keep=True):
        self.file = Container(path)
        self.config = c = self.file.config
        self.d_model, self.n_layers = c["hidden_size"], c["num_hidden_layers"]
        self.n_heads, self.n_kv_heads = c["num_attention_heads"], c["num_key_value_heads"]
        self.head_dim = c.get("head_dim") or self.d_model // self.n_heads
        self.eps = c["rms_norm_eps"]
        self.rope = Rope(c, self.head_dim)
        self.tokenizer = Tokenizer(self.file.tensor("tokenizer")) if "tokenizer" in self.file else None
        self._matrices = {} if keep else None

    def matrix(self, slot, n_columns):
        """Weights of a slot, float32 [rows, n_columns]."""
        if self._matrices is None:
            return self.file.matrix(slot, n_columns)
        if slot not in self._matrices:
            self._matrices[slot] = self.file.matrix(slot, n_columns)
        return self._matrices[slot]

    def linear(self, slot, x):
        """y = W x for each row of x [n, columns]."""
        return x @ self.matrix(slot, x.shape[-1]).T.astype(float)

    def attention(self, layer, x):
        """x [n, d_model] -> [n, d_model]: every token looks at itself and those before it."""
        n, d = len(x), self.head_dim
        n_q, n_kv = self.n_heads * d, self.n_kv_heads * d
        qkv = self.linear(f"model.layers.{layer}.self_attn.qkv_proj", x)
        inverse = self.rope.inverse(n)
        q = self.rope.rotate(qkv[:, :n_q].reshape(n, self.n_heads, d), inverse)
        k = self.rope.rotate(qkv[:, n_q:n_q + n_kv].reshape(n, self.n_kv_heads, d), inverse)
        v = qkv[:, n_q + n_kv:].reshape(n, self.n_kv_heads, d)
        later = np.triu(np.full((n, n), -np.inf), 1)
        heads = []
        for head in range(self.n_heads):
            group = head // (self.n_heads // self.n_kv_heads)
            p = softmax(q[:, head] @ k[:, group].T / math.sqrt(d) + later)
            heads.append(p @ v[:, group])
        return self.linear(f"model.layers.{layer}.self_attn.o_proj", np.concatenate(heads, axis=-1))

    def feed_forward(self, layer, x):
        """x [n, d_model] -> [n, d_model]"""
        gate, up = np.split(self.linear(f"model.layers.{layer}.mlp.gate_up_proj", x), 2, axis=-1)
        return self.linear(f"model.layers.{layer}.mlp.down_proj", up * silu(gate))

    def hidden(self, ids):
        """The states behind the last norm, [n, d_model]."""
        x = self.matrix("model.embed_tokens", self.d_model)[list(ids)].astype(float)
        for layer in range(self.n_layers):
            prefix = f"model.layers.{layer}"
            x = x + self.attention(layer, rms_norm(x, self.file.vector(f"{prefix}.input_layernorm.weight"), self.eps))
            x = x + self.feed_forward(layer, rms_norm(x, self.file.vector(f"{prefix}.post_attention_layernorm.weight"),
                                                      self.eps))
        return rms_norm(x, self.file.vector("model.norm.weight"), self.eps)

    def logits(self, ids):
        """[n, vocab]: row i for what follows token i."""
        tied = self.config.get("tie_word_embeddings", False)
        return self.linear("model.embed_tokens" if tied else "lm_head", self.hidden(ids))

    def generate(self, text, max_tokens):
        """The most probable continuation.  Nothing is cached: each token computes the whole text again."""
        ids = self.tokenizer.encode(text)
        answer = []
        while len(answer) < max_tokens:
            best = int(np.argmax(self.logits(ids + answer)[-1]))
            if best in self.config["eos_token_id"]:
                break
            answer.append(best)
        return self.tokenizer.decode(answer)
