"""The network: transformers' Phi3ForCausalLM, with the same names of parameters after hf_name()."""

import math

import torch
import torch.nn.functional as F
from torch import nn

from .shapes import CONTEXT, HEAD_DIM, NORM_EPS, ROPE_THETA


class Norm(nn.Module):
    """RMSNorm in float32 (Zhang & Sennrich 2019)."""

    def __init__(self, n):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(n))

    def forward(self, x):
        h = x.float()
        h = h * torch.rsqrt(h.pow(2).mean(-1, keepdim=True) + NORM_EPS)
        return (h * self.weight).to(x.dtype)


def rotate(x, cos, sin):
    """RoPE on the two halves of each head (Su et al. 2021)."""
    a, b = x.float().chunk(2, -1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1).to(x.dtype)


class Block(nn.Module):
    def __init__(self, shape):
        super().__init__()
        d, self.n_heads, self.n_kv, self.d_ff = shape["hidden"], shape["heads"], shape["kv"], shape["inter"]
        self.input_layernorm, self.post_attention_layernorm = Norm(d), Norm(d)
        self.qkv_proj = nn.Linear(d, (self.n_heads + 2 * self.n_kv) * HEAD_DIM, bias=False)
        self.o_proj = nn.Linear(self.n_heads * HEAD_DIM, d, bias=False)
        self.gate_up_proj = nn.Linear(d, 2 * self.d_ff, bias=False)
        self.down_proj = nn.Linear(self.d_ff, d, bias=False)

    def forward(self, x, cos, sin):
        n_rows, n_tokens, _ = x.shape
        group = self.n_heads // self.n_kv
        heads = (n_rows, n_tokens, self.n_heads, HEAD_DIM)

        qkv = self.qkv_proj(self.input_layernorm(x)).view(n_rows, n_tokens, self.n_heads + 2 * self.n_kv, HEAD_DIM)
        q, k, v = qkv.split([self.n_heads, self.n_kv, self.n_kv], dim=2)
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        k = k[:, :, :, None].expand(n_rows, n_tokens, self.n_kv, group, HEAD_DIM).reshape(heads)
        v = v[:, :, :, None].expand(n_rows, n_tokens, self.n_kv, group, HEAD_DIM).reshape(heads)
        y = F.scaled_dot_product_attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), is_causal=True)
        x = x + self.o_proj(y.transpose(1, 2).reshape(n_rows, n_tokens, self.n_heads * HEAD_DIM))

        gate, up = self.gate_up_proj(self.post_attention_layernorm(x)).chunk(2, -1)
        return x + self.down_proj(F.silu(gate) * up)

    def muon_parts(self):
        """(matrix, rows of its parts): the logical matrices of a fused one are updated apart."""
        q, kv = self.n_heads * HEAD_DIM, self.n_kv * HEAD_DIM
        return [
            (self.qkv_proj.weight, [q, kv, kv]),
            (self.o_proj.weight, [self.o_proj.weight.shape[0]]),
            (self.gate_up_proj.weight, [self.d_ff, self.d_ff]),
            (self.down_proj.weight, [self.down_proj.weight.shape[0]]),
        ]


class Model(nn.Module):
    def __init__(self, shape, n_vocab):
        super().__init__()
        self.n_vocab = n_vocab
        self.stream_dtype = torch.bfloat16  # of the residual stream
        self.embed_tokens = nn.Embedding(n_vocab, shape["hidden"])
        self.layers = nn.ModuleList([Block(shape) for _ in range(shape["layers"])])
        self.norm = Norm(shape["hidden"])
        self.lm_head = nn.Linear(shape["hidden"], n_vocab, bias=False)
        for p in self.parameters():
            if p.ndim == 2:
                nn.init.normal_(p, std=0.02)
        for block in self.layers:
            for w in (block.o_proj.weight, block.down_proj.weight):
                nn.init.normal_(w, std=0.02 / math.sqrt(2 * shape["layers"]))
        if shape["tied"]:
            self.lm_head.weight = self.embed_tokens.weight

        frequency = ROPE_THETA ** (-torch.arange(0, HEAD_DIM, 2).float() / HEAD_DIM)
        angle = torch.arange(CONTEXT).float()[:, None] * frequency[None]
        self.register_buffer("cos", angle.cos()[None, :, None], persistent=False)
        self.register_buffer("sin", angle.sin()[None, :, None], persistent=False)

    def forward(self, ids, targets):
        """Mean cross entropy, in nats a token."""
        n_tokens = ids.shape[1]
        x = self.embed_tokens(ids).to(self.stream_dtype)
        for block in self.layers:
            x = block(x, self.cos[:, :n_tokens], self.sin[:, :n_tokens])
        logits = self.lm_head(self.norm(x))
        return F.cross_entropy(logits.view(-1, self.n_vocab).float(), targets.reshape(-1))


def hf_name(name):
    """The name that transformers gives to this parameter."""
    name = name if name.startswith("lm_head") else "model." + name
    for projection in ("qkv_proj", "o_proj"):
        name = name.replace("." + projection, ".self_attn." + projection)
    for projection in ("gate_up_proj", "down_proj"):
        name = name.replace("." + projection, ".mlp." + projection)
    return name
