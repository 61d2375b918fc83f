"""The chats while they are made: one list, one stream of random numbers, and how a user types.

Everything draws from R in a fixed order, so that the same sources give the same chats.
"""

import json
import pathlib
import random

HERE = pathlib.Path(__file__).parent
T = json.loads((HERE / "tables.json").read_text(encoding="utf-8"))
R = random.Random(20261123)
choice = R.choice
CHATS = []  # {"s": kind, "m": [[role, text], ...]}


def a(word):
    return ("an " if word[0] in "aeiou" else "a ") + word


def plural(word):
    return T["irregular_plurals"].get(word, word + "s")


def chat(kind, *turns):
    """Add a chat whose turns alternate between user and assistant."""
    roles = ("user", "assistant")
    CHATS.append({"s": kind, "m": [[roles[i % 2], turn.strip()] for i, turn in enumerate(turns)]})


def typed(question):
    """A question as a user types it: sometimes in lower case, sometimes without the mark at its end."""
    x = R.random()
    if x < 0.12:
        question = question.lower()
    if x > 0.85:
        question = question.rstrip("?.!")
    return question


def load(raw, name):
    """The documents of one source, as extract.py wrote them."""
    with open(raw / f"{name}.jsonl", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]
