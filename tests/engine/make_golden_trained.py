#!/usr/bin/env python3
"""Golden values of a trained model by the official implementation.

    make_golden_trained.py CHECKPOINT OUT.json

CHECKPOINT is a Hugging Face directory ('upg export models/default.upg CHECKPOINT'); needs torch and transformers.  For
each prompt the logits of its last position (the ten greatest, every 512th, the log of the sum over all), and a greedy
continuation of 64 tokens without the stop tokens.  Float32 on the CPU.
"""
import json
import pathlib
import sys

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

N_NEW = 64


def last_logits(model, ids, stop_ids=()):
    with torch.no_grad():
        logits = model(torch.tensor([ids])).logits[0, -1].double()
    logits[list(stop_ids)] = -torch.inf
    return logits


def numbers(values):
    return [round(value, 5) for value in values.tolist()]


def describe_logits(model, prompt, ids):
    logits = last_logits(model, ids)
    top = torch.topk(logits, 10)
    return {"prompt": prompt, "ids": ids, "argmax": top.indices[0].item(), "top_ids": top.indices.tolist(),
            "top_logits": numbers(top.values), "every_512th_logit": numbers(logits[::512]),
            "logsumexp": round(torch.logsumexp(logits, 0).item(), 6)}


def describe_greedy(model, tokenizer, prompt, ids, stop_ids):
    new, margins = [], []
    for _ in range(N_NEW):
        best = torch.topk(last_logits(model, ids + new, stop_ids), 2)
        new.append(best.indices[0].item())
        margins.append((best.values[0] - best.values[1]).item())
    return {"prompt": prompt, "ids": ids, "new_ids": new, "text": tokenizer.decode(new),
            "smallest_margin": round(min(margins), 5)}


def main():
    checkpoint, out = sys.argv[1:]
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    model = AutoModelForCausalLM.from_pretrained(checkpoint, torch_dtype=torch.float32).eval()
    prompts = [entry["prompt"] for entry in json.loads(pathlib.Path(out).read_text())["logits"]]
    stop_ids = tokenizer.convert_tokens_to_ids(["<|endoftext|>", "<|im_end|>"])
    golden = {"model": "models/default.upg, exported", "arithmetic": "float32 on a CPU, transformers", "logits": [],
              "greedy": []}
    for prompt in prompts:
        ids = tokenizer(prompt, add_special_tokens=False)["input_ids"]
        golden["logits"].append(describe_logits(model, prompt, ids))
        golden["greedy"].append(describe_greedy(model, tokenizer, prompt, ids, stop_ids))
    pathlib.Path(out).write_text(json.dumps(golden, ensure_ascii=False, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
