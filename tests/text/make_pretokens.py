#!/usr/bin/env python3
"""Write tests/data/text/pretokens.jsonl: how Hugging Face tokenizers cuts texts (pip install tokenizers).

A line is {"pattern": NAME, "text": ..., "words": [...]}.  Some texts are chosen, the rest are drawn
from an alphabet of characters that patterns treat differently.
"""
import json
import pathlib
import random

from tokenizers import Regex, pre_tokenizers

DATA = pathlib.Path(__file__).parents[1] / "data" / "text"
CHOSEN = ["", " ", "Hello, world!  How's it going?", "I'LL we'd 'tis x'ſa 'S'S", "a1b22 333  4444\t5",
          "tail  ", " \n\n x", "\r\n \r\n", "½ ²³ Ⅷ ٣٤٥", "  7", "a\u180eb \u200b\ufeffc\u0085d\u2028e"]
ALPHABET = list("aBzQ'sStdl 019½\t\n\r.!/_") + [" ", "\u00a0", "\u3000", "\u0301", "ſ", "ʰ", "ǅ", "中", "ß",
                                               "\u180e", "\u0085", "😀", "٣", "\u001c", "'re", "'LL"]


def split(name):
    family = json.loads((DATA / f"{name}.json").read_text(encoding="utf-8"))
    return pre_tokenizers.Split(Regex(family["pretokenize_regex"]), "isolated")


def byte_level(use_regex):
    return pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=use_regex)


PATTERNS = {
    "cl100k": [split("phi4")],
    "o200k": [split("phi4_mini")],
    "gpt-2": [byte_level(True)],
    "smollm": [pre_tokenizers.Digits(individual_digits=True), byte_level(True)],
}


def main():
    random.seed(4)
    texts = CHOSEN + ["".join(random.choices(ALPHABET, k=random.randint(1, 30))) for _ in range(120)]
    with open(DATA / "pretokens.jsonl", "w", encoding="ascii") as out:
        for name, steps in PATTERNS.items():
            cutter = pre_tokenizers.Sequence(steps)
            for text in texts:
                spans = [span for _, span in cutter.pre_tokenize_str(text)]
                row = {"pattern": name, "text": text, "words": [text[a:b] for a, b in spans]}
                print(json.dumps(row), file=out)


if __name__ == "__main__":
    main()
