#!/usr/bin/env python3
"""The perplexity of a model by `upg eval`, and of its export by the official transformers package.

    export_perplexity.py UPG [MODEL.upg] [--text FILE] [--context N]

UPG is the program.  Needs torch and transformers, which compute in float32 on the processor; so a model that fits twice
into memory.  Windows as `upg eval` takes them; the predictions are the same ones.
"""
import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import torch
import transformers

N_TOKENS = 2500  # predictions
ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "evaluate"))
import make_golden  # noqa: E402  (the same windows as the golden values of the tests)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("upg")
    parser.add_argument("model", nargs="?", default=str(ROOT / "models" / "default.upg"))
    parser.add_argument("--text", default=str(ROOT / "tests/data/engine/trained/willows.txt"))
    parser.add_argument("--context", type=int, default=512)
    arguments = parser.parse_args()
    stride = arguments.context // 2
    ours = json.loads(subprocess.run(
        [arguments.upg, "eval", arguments.model, arguments.text, "--json", "--ctx", str(arguments.context),
         "--stride", str(stride), "--max-tokens", str(N_TOKENS)], check=True, capture_output=True).stdout)[0]
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([arguments.upg, "export", arguments.model, f"{folder}/hf", "--format", "hf"], check=True,
                       capture_output=True)
        tokenizer = transformers.AutoTokenizer.from_pretrained(f"{folder}/hf")
        model = transformers.AutoModelForCausalLM.from_pretrained(f"{folder}/hf", torch_dtype=torch.float32).eval()
    ids = tokenizer(pathlib.Path(arguments.text).read_text(encoding="utf-8"), add_special_tokens=False)["input_ids"]
    nll = torch.tensor(make_golden.evaluate(model, ids, arguments.context, stride, N_TOKENS), dtype=torch.float64)
    theirs = nll.mean().exp().item()
    print(f"transformers {transformers.__version__}, torch {torch.__version__}: {len(nll)} predictions, "
          f"context {arguments.context}, stride {stride}")
    print(f"upg eval       {ours['ppl']:.5f}\ntransformers   {theirs:.5f}\n"
          f"difference     {100 * abs(ours['ppl'] / theirs - 1):.4f} %")


if __name__ == "__main__":
    main()
