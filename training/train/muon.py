"""Muon: momentum, then the nearest orthogonal matrix by Newton-Schulz (Jordan et al. 2024; the scale of the update is that
of Liu et al. 2025, section 2.2: 0.2 times the root of the larger side)."""

import math

import torch


def orthogonalize(g):
    """Five steps of the quintic iteration on a stack of matrices [n, rows, cols]."""
    x = g.bfloat16()
    is_tall = x.shape[-2] > x.shape[-1]
    if is_tall:
        x = x.mT
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(5):
        s = x @ x.mT
        s = -4.7750 * s + 2.0315 * (s @ s)
        x = 3.4445 * x + s @ x
    return x.mT if is_tall else x


class Muon:
    """parts: list of (parameter, [rows of its logical matrices])."""

    def __init__(self, parts, lr, weight_decay):
        self.lr, self.weight_decay = lr, weight_decay
        self.momentum = {p: torch.zeros_like(p) for p, _ in parts}
        self.by_shape = {}  # matrices of one shape go through the iteration together
        for p, rows in parts:
            begin = 0
            for n in rows:
                self.by_shape.setdefault((n, p.shape[1]), []).append((p, begin, begin + n))
                begin += n

    @torch.no_grad()
    def step(self, scale, momentum):
        lr = self.lr * scale
        for p, m in self.momentum.items():
            m.lerp_(p.grad, 1 - momentum)
        for (n_rows, n_cols), places in self.by_shape.items():
            g = [torch.lerp(p.grad[a:b], self.momentum[p][a:b], momentum) for p, a, b in places]
            updates = orthogonalize(torch.stack(g)).float().mul_(-lr * 0.2 * math.sqrt(max(n_rows, n_cols)))
            for (p, a, b), update in zip(places, updates):
                p.data[a:b].mul_(1 - lr * self.weight_decay).add_(update)
