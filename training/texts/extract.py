#!/usr/bin/env python3
"""Step 1: clean text out of bare clones of public repositories and one unpacked Debian package.

Writes one JSON-lines file a source: {"s": source, "k": title or key, "t": text}.  README.md lists the repositories.
"""

import argparse
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from texts import extract_facts as facts, extract_prose as prose
from texts.mirror import Mirror

STEPS = [
    prose.stories,
    prose.held_out_stories,
    prose.fairy_tales,
    prose.children,
    facts.trivia,
    facts.words,
    facts.capitals,
    facts.wikitext,
    prose.textbooks,
    facts.dialogues,
    prose.novels,
    prose.wiki_new,
    prose.wiki_core,
]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("mirror", type=pathlib.Path, help="folder of clones, OWNER+NAME/repo")
    parser.add_argument("debian", type=pathlib.Path, help="folder in which wordnet-base was unpacked with dpkg -x")
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("step", nargs="*", help="only these: " + ", ".join(step.__name__ for step in STEPS))
    options = parser.parse_args()

    options.out.mkdir(parents=True, exist_ok=True)
    mirror = Mirror(options.mirror)
    for step in STEPS:
        if not options.step or step.__name__ in options.step:
            step(options.debian if step is facts.words else mirror, options.out)


if __name__ == "__main__":
    main()
