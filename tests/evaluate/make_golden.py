#!/usr/bin/env python3
"""Perplexities of a text by the official implementation.

    make_golden.py CHECKPOINT TEXT OUT.json

CHECKPOINT is a Hugging Face directory; needs torch and transformers.  Windows of `context` input tokens start every
`stride` tokens; each of the last `stride` positions of a window (in the first, every position) predicts the token
behind it; the first n_tokens predictions count.  Float32 on the CPU, sums in float64.
"""
import json
import pathlib
import sys

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

CASES = [(512, 512, 500), (512, 256, 2500), (200, 64, 2500)]  # context, stride, n_tokens


def evaluate(model, ids, context, stride, n_tokens):
    nll = []
    begin = 0
    while len(nll) < n_tokens:
        window = ids[begin:begin + context + 1]
        with torch.no_grad():
            logits = model(torch.tensor([window[:-1]])).logits[0].double()
        log_p = torch.log_softmax(logits, -1)
        first = 0 if begin == 0 else context - stride
        nll += [-log_p[i, window[i + 1]].item() for i in range(first, len(window) - 1)]
        begin += stride
    return nll[:n_tokens]


def main():
    checkpoint, text, out = sys.argv[1:]
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    model = AutoModelForCausalLM.from_pretrained(checkpoint, torch_dtype=torch.float32).eval()
    ids = tokenizer(pathlib.Path(text).read_text(encoding="utf-8"), add_special_tokens=False)["input_ids"]
    cases = []
    for context, stride, n_tokens in CASES:
        nll = torch.tensor(evaluate(model, ids, context, stride, n_tokens), dtype=torch.float64)
        cases.append({"context": context, "stride": stride, "n_tokens": len(nll), "nll": nll.mean().item(),
                      "nll_stderr": nll.std().item() / len(nll) ** 0.5})
    pathlib.Path(out).write_text(json.dumps({"text": pathlib.Path(text).name, "cases": cases}, indent=1) + "\n")


if __name__ == "__main__":
    main()
