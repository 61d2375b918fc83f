"""A tokenizer whose tokens are the 256 bytes and two control tokens: masks can be compared byte by byte.

With longer tokens on top of these it is like that of a model.
"""
import json
import pathlib

STOP, CALL = b"<|end|>", b"<|call|>"


def make(folder, longer=()):
    """Write tokenizer.json.  Token b is byte b, 256 and 257 are the control tokens, then come `longer` and what
    they begin with."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    alphabet, n = {}, 0
    for b in range(256):
        alphabet[b] = chr(b) if b in printable else chr(256 + n)
        n += b not in printable
    vocab = {alphabet[b]: b for b in range(256)}
    merges = []
    for token in (token[:end] for token in longer for end in range(2, len(token) + 1)):
        spelling = "".join(alphabet[b] for b in token)
        if spelling not in vocab:
            vocab[spelling] = 258 + len(merges)
            merges.append(f"{spelling[:-1]} {spelling[-1]}")
    document = {
        "version": "1.0",
        "added_tokens": [{"id": 256 + i, "content": content.decode(), "single_word": False, "lstrip": False,
                          "rstrip": False, "normalized": False, "special": content == STOP}
                         for i, content in enumerate((STOP, CALL))],
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}|"
                                                   " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"},
             "behavior": "Removed", "invert": True},
            {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}]},
        "decoder": {"type": "ByteLevel"},
        "model": {"type": "BPE", "vocab": vocab, "merges": merges},
    }
    pathlib.Path(folder, "tokenizer.json").write_text(json.dumps(document), encoding="utf-8")
