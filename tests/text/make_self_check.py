#!/usr/bin/env python3
"""Print the ids of src/text/self_check.c, made by Hugging Face tokenizers (pip install tokenizers).

    make_self_check.py TOKENIZERS

TOKENIZERS is the folder that make_tokenizers.py filled.  The text is read from self_check.c, so that
the two cannot differ.
"""
import ast
import pathlib
import re
import sys

import tokenizers

SOURCE = pathlib.Path(__file__).parents[2] / "src" / "text" / "self_check.c"


def read_text():
    literals = re.search(r"char text\[\] =(.*?\");\n", SOURCE.read_text(encoding="utf-8"), re.S)[1]
    return "".join(map(ast.literal_eval, re.findall(r'"(?:[^"\\]|\\.)*"', literals)))


for name in ("phi4", "phi4_mini"):
    tokenizer = tokenizers.Tokenizer.from_file(f"{sys.argv[1]}/{name}/tokenizer.json")
    print(name, *tokenizer.encode(read_text(), add_special_tokens=False).ids, sep=", ")
