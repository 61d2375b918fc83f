#!/usr/bin/env python3
"""Step 2: chats from the extracted sources, from tables, and from the story generator.

Writes into the folder of step 1: chats.jsonl ({"s": kind, "m": [[role, text], ...]}), story_aug.jsonl (real stories with
other names in them) and story_gen.jsonl (generated ones).
"""

import argparse
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from texts import chats_from_sources, chats_invented, chats_of_stories
from texts.chatbook import CHATS, R, choice

SYSTEM = [
    "You are a helpful assistant.",
    "You are a friendly assistant. Answer in short, simple sentences.",
    "You are Tiny, a small language model.",
]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("raw", type=pathlib.Path, help="folder with the .jsonl files of extract.py")
    raw = parser.parse_args().raw

    sources, stories = chats_from_sources, chats_of_stories
    steps = [
        (chats_invented.smalltalk, ()),
        (chats_invented.tables, ()),
        (sources.capitals, (raw,)),
        (sources.definitions, (raw,)),
        (sources.encyclopaedia, (raw,)),
        (sources.trivia, (raw,)),
        (sources.fairy_qa, (raw,)),
        (sources.dialogues, (raw,)),
        (stories.stories, (raw,)),
    ]
    for step, arguments in steps:
        n = len(CHATS)
        step(*arguments)
        print(step.__name__, len(CHATS) - n, flush=True)
    for c in CHATS:
        if R.random() < 0.03:
            c["m"].insert(0, ["system", choice(SYSTEM)])
    R.shuffle(CHATS)
    with open(raw / "chats.jsonl", "w", encoding="utf-8") as out:
        for c in CHATS:
            out.write(json.dumps(c, ensure_ascii=False) + "\n")
    print(len(CHATS), "chats,", sum(len(text) for c in CHATS for _, text in c["m"]) / 1e6, "M characters")


if __name__ == "__main__":
    main()
