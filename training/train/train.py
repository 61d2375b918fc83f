#!/usr/bin/env python3
"""Step 4: train one small model of the Phi-4 architecture on token files, inside a limit of time, on one GPU.

Time is the clock: the learning rate follows it, so a run always ends with saved weights.  At the end matrices are rounded
to int8 rows (largest absolute value / 127), which are then the model.  Writes OUT/SIZE.bin and OUT/SIZE.json; export.py
makes a Hugging Face directory of them.
"""

import argparse
import json
import math
import pathlib
import sys
import time

import numpy as np
import torch

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from train.batches import Batches, held_out
from train.model import Model, hf_name
from train.muon import Muon
from train.shapes import CONTEXT, HEAD_DIM, LAST_PART, MIX, NORM_EPS, ROPE_THETA, SIZES

WARM_UP_STEPS, MOMENTUM_STEPS, EVALUATE_EVERY_S = 80, 300, 75
START = time.time()


def say(*what):
    print(f"[{time.time() - START:6.1f}s]", *what, flush=True)


@torch.no_grad()
def evaluate(model, texts, device, context=CONTEXT, max_tokens=120000, dtype=torch.bfloat16):
    """{name: nats a token} over windows that do not overlap."""
    losses = {}
    model.stream_dtype = dtype
    for name, ids in texts.items():
        n = min(len(ids) - 1, max_tokens) // context
        if n == 0:
            continue
        x = ids[: n * context].view(n, context).to(device)
        y = ids[1 : n * context + 1].view(n, context).to(device)
        total = 0.0
        for i in range(0, n, 32):
            with torch.autocast(device, torch.bfloat16, enabled=dtype != torch.float32):
                total += model(x[i : i + 32], y[i : i + 32]).item() * len(x[i : i + 32])
        losses[name] = round(total / n, 4)
    model.stream_dtype = torch.bfloat16
    return losses


@torch.no_grad()
def round_to_int8_rows(model):
    """Round the model in place; returns (table {NAME:KIND: [offset, shape]}, bytes)."""
    table, parts, offset, seen = {}, [], 0, set()

    def store(key, array):
        nonlocal offset
        table[key] = [offset, list(array.shape)]
        parts.append(array.tobytes())
        offset += array.nbytes

    for name, p in model.named_parameters():
        if id(p) in seen:
            continue
        seen.add(id(p))
        if p.ndim == 2:
            scale = p.float().abs().amax(1).clamp_min(1e-8) / 127
            q = torch.round(p.float() / scale[:, None]).clamp_(-127, 127)
            store(hf_name(name) + ":scale", scale.cpu().numpy().astype("<f4"))
            store(hf_name(name) + ":int8", q.cpu().numpy().astype(np.int8))
            p.copy_((q * scale[:, None]).bfloat16().float())
        else:
            store(hf_name(name) + ":f32", p.float().cpu().numpy().astype("<f4"))
            p.copy_(p.bfloat16().float())
    return table, b"".join(parts)


class Clock:
    """Fraction of the time that has passed; it starts when compiling is over."""

    def __init__(self, minutes):
        self.limit, self.first = minutes * 60, None

    def start(self):
        self.first = time.time()

    def fraction(self):
        if self.first is None:
            return 0.0
        start = self.first - START
        return (time.time() - self.first) / max(1.0, self.limit - start)


def train(model, batches, texts, shape, mix, options, device):
    """Returns what happened, for the card of the model."""
    run = torch.compile(model) if options.compile else model
    muon_parts = [part for block in model.layers for part in block.muon_parts()]
    muon = Muon(muon_parts, shape["muon_lr"], shape["weight_decay"])
    of_muon = {id(p) for p, _ in muon_parts}
    rest = [p for p in model.parameters() if id(p) not in of_muon]
    adam = torch.optim.AdamW(
        [
            {"params": [p for p in rest if p.ndim == 2], "weight_decay": 0.02},
            {"params": [p for p in rest if p.ndim < 2], "weight_decay": 0.0},
        ],
        lr=shape["adam_lr"],
        betas=(0.9, 0.95),
        eps=1e-10,
        fused=True,
    )
    n_rows = (options.batch or shape["batch"]) // CONTEXT
    micro = min(shape["micro"], n_rows)
    n_micro = n_rows // micro
    clock, step, n_tokens, n_tokens_first, log, last_evaluation = Clock(options.minutes), 0, 0, 0, [], time.time()

    while step < (options.steps or math.inf) and (fraction := clock.fraction()) < 1.0:
        # Warm up, stay flat, then fall to zero over the last options.decay of the time.
        scale = min(1.0, (step + 1) / WARM_UP_STEPS) * min(1.0, (1 - fraction) / options.decay)
        loss_sum = 0
        for _ in range(n_micro):
            x, y = batches.draw(micro, mix[1] if fraction > 1 - LAST_PART else mix[0])
            with torch.autocast(device, torch.bfloat16):
                loss = run(x, y)
            (loss / n_micro).backward()
            loss_sum = loss_sum + loss.detach() / n_micro
        torch.nn.utils.clip_grad_norm_(rest, 1.0)
        for group in adam.param_groups:
            group["lr"] = shape["adam_lr"] * scale
        adam.step()
        muon.step(scale, 0.85 + 0.10 * min(1, step / MOMENTUM_STEPS))
        model.zero_grad(set_to_none=True)
        step += 1
        n_tokens += n_micro * micro * CONTEXT
        if step == 3:
            say("compiled; loss", loss_sum.item())
            clock.start()
            n_tokens_first = n_tokens
        if step % 50 == 0:
            value = loss_sum.item()
            rate = (n_tokens - n_tokens_first) / max(time.time() - clock.first, 1e-3)
            say(
                f"step {step} loss {value:.3f} lr {scale:.3f} time {fraction:.3f} tokens {n_tokens / 1e6:.1f}M {rate / 1e3:.0f}k/s"
            )
            if not math.isfinite(value):
                raise SystemExit("the loss is not finite any more")
        elif step % 4 == 0:
            loss_sum.item()  # keep the queue of the GPU short, so that the clock is right
        if time.time() - last_evaluation > EVALUATE_EVERY_S:
            log.append((n_tokens, evaluate(model, texts, device, max_tokens=60000)))
            say("held out", log[-1][1])
            last_evaluation = time.time()
    seconds = time.time() - (clock.first or START)
    return {"steps": step, "tokens": n_tokens, "log": log, "tokens_per_s": (n_tokens - n_tokens_first) / seconds}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=SIZES, default="tiny")
    parser.add_argument("--data", type=pathlib.Path, required=True, help="folder of token files from build.py")
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--minutes", type=float, default=9.0)
    parser.add_argument(
        "--steps", type=int, default=0, help="stop earlier, after so many steps (to try the script out)"
    )
    parser.add_argument("--batch", type=int, default=0, help="tokens a step")
    parser.add_argument(
        "--decay", type=float, default=0.65, help="share of the time over which the learning rate falls"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--no-compile", dest="compile", action="store_false")
    options = parser.parse_args()

    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(options.seed)
    rng = np.random.default_rng(options.seed)
    torch.set_float32_matmul_precision("high")
    shape, mix = SIZES[options.size], MIX[options.size]
    meta = json.loads((options.data / "sources.json").read_text())

    batches = Batches(options.data, mix[0], meta["eot"], device, rng)
    texts = held_out(options.data)
    model = Model(shape, meta["vocab"]).to(device)
    say(options.size, sum(p.numel() for p in model.parameters()) / 1e6, "M parameters")
    result = train(model, batches, texts, shape, mix, options, device)
    say("trained", result["steps"], "steps,", result["tokens"], "tokens")

    many = {"max_tokens": 400000, "device": device}
    result["final"] = evaluate(model, texts, **many)
    result["before"] = evaluate(model, texts, context=512, dtype=torch.float32, **many)
    table, blob = round_to_int8_rows(model)
    result["after"] = evaluate(model, texts, context=512, dtype=torch.float32, **many)
    say("held out, context 2048:", result["final"])
    say("context 512, float32, before rounding:", result["before"])
    say("context 512, float32, after rounding: ", result["after"])

    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / f"{options.size}.bin").write_bytes(blob)
    result.update(
        size=options.size, shape=shape, vocab=meta["vocab"], head=HEAD_DIM, context=CONTEXT, theta=ROPE_THETA
    )
    result.update(eps=NORM_EPS, table=table, bytes=len(blob), minutes=options.minutes, mix=mix)
    result["epochs"] = {name: source.epochs_seen() for name, source in batches.sources.items()}
    (options.out / f"{options.size}.json").write_text(json.dumps(result))
    say("saved", len(blob), "bytes")


if __name__ == "__main__":
    main()
