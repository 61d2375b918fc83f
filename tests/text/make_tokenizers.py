#!/usr/bin/env python3
"""Write the tokenizer.json files that the tests of src/text read.

    make_tokenizers.py DATA OUT

DATA is tests/data/text: NAME.json (added tokens, pattern) and *.vocab.xz (the tokens of a vocabulary
in the order of their ids, each as one length byte and its bytes).  Writes OUT/NAME/tokenizer.json,
and OUT/NAME-other/tokenizer.json, which says the same in another layout.  Standard library only.

The merges are not stored.  Token r came from one merge; byte-pair encoding of its bytes with the
merges before r leaves two pieces, and these are the merge.
"""
import json
import lzma
import pathlib
import sys


def read_vocabulary(path):
    raw = lzma.decompress(path.read_bytes())
    tokens = []
    at = 0
    while at < len(raw):
        end = at + 1 + raw[at]
        tokens.append(raw[at + 1:end])
        at = end
    return tokens


def find_merges(tokens):
    rank_of = {}  # of the tokens before the current one
    merges = []
    for rank, token in enumerate(tokens):
        pieces = [token[i:i + 1] for i in range(len(token))]
        while len(pieces) > 2:
            candidates = ((rank_of[a + b], i) for i, (a, b) in enumerate(zip(pieces, pieces[1:]))
                          if a + b in rank_of)
            _, i = min(candidates)
            pieces[i:i + 2] = [pieces[i] + pieces[i + 1]]
        if len(pieces) == 2:
            merges.append(pieces)
        rank_of[token] = rank
    return merges


def make_alphabet():
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    alphabet = {byte: chr(byte) for byte in printable}
    alphabet.update({byte: chr(0x100 + i) for i, byte in enumerate(others)})
    return alphabet


ALPHABET = make_alphabet()


def spell(token):
    return "".join(ALPHABET[byte] for byte in token)


def make_json(facts, vocabulary, merges):
    """Added tokens in the vocabulary, merges as text, matches kept by Removed + invert."""
    split = {"type": "Split", "pattern": {"Regex": facts["pretokenize_regex"]},
             "behavior": "Removed", "invert": True}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True,
                  "use_regex": False}
    vocab = {spell(token): i for i, token in enumerate(vocabulary)}
    vocab.update({token["content"]: token["id"] for token in facts["added_tokens"]})
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": facts["added_tokens"],
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, byte_level]},
        "post_processor": None,
        "decoder": byte_level,
        "model": {"type": "BPE", "dropout": None, "unk_token": None,
                  "continuing_subword_prefix": "", "end_of_word_suffix": "", "fuse_unk": False,
                  "byte_fallback": False, "ignore_merges": False, "vocab": vocab,
                  "merges": [spell(a) + " " + spell(b) for a, b in merges]},
    }


def change_layout(document, vocabulary, merges):
    """Added tokens only beside the vocabulary, merges as pairs, matches kept by Isolated, a
    post-processor, and no fields that have their usual value."""
    split, byte_level = document["pre_tokenizer"]["pretokenizers"]
    split.update(behavior="Isolated", invert=False)
    document["post_processor"] = byte_level
    document["model"] = {"type": "BPE", "ignore_merges": True,
                         "vocab": {spell(token): i for i, token in enumerate(vocabulary)},
                         "merges": [[spell(a), spell(b)] for a, b in merges]}


def main():
    data, out = map(pathlib.Path, sys.argv[1:])
    base = {}
    for name in ("phi4", "phi4_reasoning", "phi4_mini"):
        facts = json.loads((data / f"{name}.json").read_text(encoding="utf-8"))
        file_name = facts["base_vocab"]
        if file_name not in base:
            vocabulary = read_vocabulary(data / f"{file_name}.vocab.xz")
            base[file_name] = vocabulary, find_merges(vocabulary)
        document = make_json(facts, *base[file_name])
        for folder in (out / name, out / f"{name}-other"):
            folder.mkdir(parents=True, exist_ok=True)
            with open(folder / "tokenizer.json", "w", encoding="utf-8") as file:
                json.dump(document, file, ensure_ascii=False)
            change_layout(document, *base[file_name])


if __name__ == "__main__":
    main()
