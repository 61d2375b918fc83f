#!/usr/bin/env python3
"""Step 3: hold out evaluation texts, remove what overlaps them, train the tokenizer, write token files.

Writes TOKENS/NAME.bin (uint16, a document ends with <|endoftext|>), TOKENS/eval_NAME.bin and TOKENS/sources.json;
TOKENIZER/tokenizer.json and tokenizer_config.json; CORPUS/eval/*.txt and CORPUS/calib.txt; HIDDEN/*.txt (a second held-out
set that nobody looks at while working).
"""

import argparse
import json
import pathlib
import random
import re
import zlib

import numpy as np
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

PLAIN_SOURCES = ("wiki", "wiki_new", "novels", "children", "textbooks", "fairy", "stories", "story_aug", "story_gen")
HELD_OUT_CHATS = ("encyc", "define", "trivia", "read", "topic", "task")  # the kinds that come from outside
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_sep|>", "<|im_end|>"]
N_VOCAB = 8192
# The pattern of cl100k, which phi-4 uses.
PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '<|im_sep|>' + message['content'] "
    "+ '<|im_end|>' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant<|im_sep|>' }}{% endif %}"
)
SHINGLE, STEP = 12, 4  # words in a shingle, words between the ones that are looked up
WORD = re.compile(r"[a-z0-9]+")


def load(raw, name):
    with open(raw / f"{name}.jsonl", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def read_documents(raw, rng):
    """{source: [(key, text)]}, shuffled."""

    def article(d):
        return d["k"] + "\n\n" + d["t"].replace("\n\n", "\n").replace("\n", "\n\n")

    def transcript(c):
        return "".join(f"<|im_start|>{role}<|im_sep|>{text}<|im_end|>" for role, text in c["m"])

    documents = {}
    for name in PLAIN_SOURCES:
        documents[name] = [(d["k"], article(d) if name.startswith("wiki") else d["t"]) for d in load(raw, name)]
    documents["chats"] = [(c["s"], transcript(c)) for c in load(raw, "chats")]
    for name in documents:
        rng.shuffle(documents[name])
    return documents


def hold_out(documents, raw, rng, code_eval, code_hidden):
    """Take the held-out texts out of the documents: two groups, {name: [text]} each."""

    def cut(name, n_characters):
        texts, n = [], 0
        while n < n_characters:
            texts.append(documents[name].pop()[1])
            n += len(texts[-1])
        return texts

    def book(title):
        i = next(i for i, (key, _) in enumerate(documents["children"]) if key.startswith(title))
        return [documents["children"].pop(i)[1][:320000]]

    stories = [d["t"] for d in load(raw, "stories_val")]
    half = len(stories) // 2
    shown = {"wikitext103_valid": [d["k"] + "\n\n" + d["t"] for d in load(raw, "wikitext_valid")]}
    hidden = {"wikitext103_test": [d["k"] + "\n\n" + d["t"] for d in load(raw, "wikitext_test")]}
    shown["stories_valid"], hidden["stories_test"] = stories[:half], stories[half:]
    shown["wiki_valid"], hidden["wiki_test"] = cut("wiki", 350000), cut("wiki", 350000)
    shown["books_valid"], hidden["books_test"] = book("The Wind in the Willows"), book("Five Children and It")

    candidates = [i for i, (kind, _) in enumerate(documents["chats"]) if kind in HELD_OUT_CHATS]
    picked = rng.sample(candidates, 700)
    shown["chat_valid"] = [documents["chats"][i][1] for i in picked[:350]]
    hidden["chat_test"] = [documents["chats"][i][1] for i in picked[350:]]
    gone = set(picked)
    documents["chats"] = [d for i, d in enumerate(documents["chats"]) if i not in gone]

    shown["code_py"] = [code_eval.read_text(errors="replace")[:100000]]
    hidden["code_py"] = [code_hidden.read_text(errors="replace")[:120000]]
    return shown, hidden


def shingles(text, step):
    words = WORD.findall(text.lower())
    for i in range(0, len(words) - SHINGLE, step):
        yield zlib.crc32(" ".join(words[i : i + SHINGLE]).encode())


def remove_overlaps(documents, raw, groups):
    """Drop documents that share too many runs of 12 words with held-out text, and articles of WikiText by title."""
    held_out = set()
    for group in groups:
        for name, texts in group.items():
            if not name.startswith(("code", "chat")):
                for text in texts:
                    held_out.update(shingles(text, 1))
    titles = {d["k"].lower().strip() for split in ("valid", "test") for d in load(raw, f"wikitext_{split}")}

    def overlaps(name, key, text):
        if name.startswith("wiki") and key.lower().strip() in titles:
            return True
        found = [shingle in held_out for shingle in shingles(text, STEP)]
        # The openings of stories are formulas, so they may share more.
        most = 0.02 if name.startswith(("wiki", "nov", "chi")) else 0.12
        return len(found) > 0 and sum(found) >= 3 and sum(found) / len(found) > most

    for name in ("wiki", "wiki_new", "novels", "children", "fairy", "stories", "story_aug", "textbooks"):
        kept = [(key, text) for key, text in documents[name] if not overlaps(name, key, text)]
        print(f"{name}: {len(documents[name]) - len(kept)} dropped for overlap with held-out text", flush=True)
        documents[name] = kept


def limit(documents, name, n_characters):
    kept, n = [], 0
    for document in documents[name]:
        if n + len(document[1]) <= n_characters:
            kept.append(document)
            n += len(document[1])
    documents[name] = kept


def join(texts):
    """Texts are joined by an empty line, chats by the literal <|endoftext|>."""
    joined = "\n\n".join(texts) + "\n"
    return joined.replace("<|im_end|>\n\n", "<|im_end|><|endoftext|>").replace(
        "<|im_end|>\n", "<|im_end|><|endoftext|>"
    )


def calibration_texts(documents, code, rng):
    budget = {"wiki": 450000, "stories": 150000, "story_gen": 60000, "children": 150000, "novels": 150000}
    budget.update({"textbooks": 120000, "chats": 300000, "wiki_new": 60000})
    texts = []
    for name, n_characters in budget.items():
        n = 0
        for _, text in documents[name]:
            texts.append(text[:12000])
            n += len(texts[-1])
            if n > n_characters:
                break
    texts += [code[i : i + 6000] for i in range(0, 90000, 6000)]
    rng.shuffle(texts)
    return texts


def tokenizer_sample(documents, code, rng):
    shares = {"wiki": 0.16, "wiki_new": 0.1, "novels": 0.12, "children": 0.5, "textbooks": 0.3}
    shares.update({"fairy": 1, "stories": 1, "story_gen": 0.1})
    for name, share in shares.items():
        for _, text in documents[name]:
            for i in range(0, len(text), 20000):
                if rng.random() < share:
                    yield text[i : i + 20000]
    for _, text in documents["chats"]:
        if rng.random() < 0.25:
            yield re.sub(r"<\|\w+\|>(user|assistant|system)?", "\n", text)
    yield code


def train_tokenizer(texts, folder):
    tokenizer = Tokenizer(models.BPE(byte_fallback=False))
    split = pre_tokenizers.Split(Regex(PATTERN), "isolated")
    level = pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=True, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, level])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=N_VOCAB - len(SPECIAL),
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            special_tokens=[],
            show_progress=False,
        ),
    )
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL])
    if tokenizer.get_vocab_size() != N_VOCAB:
        raise SystemExit(f"the tokenizer has {tokenizer.get_vocab_size()} tokens instead of {N_VOCAB}")
    tokenizer.save(str(folder / "tokenizer.json"))

    plain = {"lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": True}
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": 2048,
        "bos_token": "<|endoftext|>",
        "eos_token": "<|im_end|>",
        "pad_token": "<|endoftext|>",
        "unk_token": "<|endoftext|>",
        "clean_up_tokenization_spaces": False,
        "add_prefix_space": False,
        "added_tokens_decoder": {str(tokenizer.token_to_id(t)): {"content": t, **plain} for t in SPECIAL},
        "chat_template": TEMPLATE,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=1))
    return tokenizer


def encode(tokenizer, texts, end):
    """One array of ids; each text ends with `end`.  Long texts are encoded in pieces of 50,000 characters."""
    arrays = []
    for text in texts:
        pieces = [text[i : i + 50000] for i in range(0, len(text), 50000)]
        ids = [i for encoding in tokenizer.encode_batch(pieces) for i in encoding.ids]
        arrays.append(np.array(ids + [end], dtype=np.uint16))
    return np.concatenate(arrays)


def separate_story_chats(documents):
    """Chats whose answer is one of the few real stories become a source of their own, and only a third of them stays, so
    that training sees each real story only a handful of times."""
    stories = [d for d in documents["chats"] if d[0] == "story"]
    documents["chats"] = [d for d in documents["chats"] if d[0] != "story"]
    documents["chat_story"] = stories[::3]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("raw", "tokens", "tokenizer", "corpus", "hidden", "code_eval", "code_hidden", "code_calib"):
        parser.add_argument(name, type=pathlib.Path)
    o = parser.parse_args()
    for folder in (o.tokens, o.tokenizer, o.corpus / "eval", o.hidden):
        folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(7)

    documents = read_documents(o.raw, rng)
    shown, hidden = hold_out(documents, o.raw, rng, o.code_eval, o.code_hidden)
    remove_overlaps(documents, o.raw, (shown, hidden))
    limit(documents, "novels", 78_000_000)
    limit(documents, "wiki_new", 24_000_000)

    for folder, group in ((o.corpus / "eval", shown), (o.hidden, hidden)):
        for name, texts in group.items():
            (folder / f"{name}.txt").write_text(join(texts), encoding="utf-8")
    code = o.code_calib.read_text(errors="replace")
    (o.corpus / "calib.txt").write_text(join(calibration_texts(documents, code, rng)), encoding="utf-8")

    tokenizer = train_tokenizer(tokenizer_sample(documents, code, rng), o.tokenizer)
    end = tokenizer.token_to_id("<|endoftext|>")
    separate_story_chats(documents)
    total = 0
    for name, source in documents.items():
        ids = encode(tokenizer, [text for _, text in source], end)
        ids.tofile(o.tokens / f"{name}.bin")
        total += len(ids)
        print(f"{name}: {len(source)} documents, {len(ids) / 1e6:.1f} M tokens", flush=True)
    for name, texts in shown.items():
        encode(tokenizer, texts, end).tofile(o.tokens / f"eval_{name}.bin")
    (o.tokens / "sources.json").write_text(json.dumps({"vocab": N_VOCAB, "eot": end, "total": total}))
    print(f"{total / 1e6:.1f} M tokens in all")


if __name__ == "__main__":
    main()
