"""The packed tokenizer: docs/format-tokenizer.md.  Text to ids by byte pairs, and back."""
import functools
import re
import struct
import sys
import unicodedata

WHITE_SPACE = "\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"

CONTRACTIONS = "'s|'t|'re|'ve|'m|'ll|'d"
PATTERNS = {
    "cl100k": r"(?i:" + CONTRACTIONS + r")|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
              r"|\s+(?!\S)|\s+",
    "o200k": r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:" + CONTRACTIONS + r")?"
             r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:" + CONTRACTIONS + r")?"
             r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    "gpt-2": CONTRACTIONS + r"| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
}


@functools.lru_cache(maxsize=None)
def class_members(name):
    """The inside of a [...] with the characters of a Unicode category or group of categories."""
    members, begin = [], None
    for code in range(sys.maxunicode + 2):
        inside = code <= sys.maxunicode and unicodedata.category(chr(code)).startswith(name)
        if inside and begin is None:
            begin = code
        elif not inside and begin is not None:
            members.append(f"\\U{begin:08x}-\\U{code - 1:08x}")
            begin = None
    return "".join(members)


@functools.lru_cache(maxsize=None)
def compile_pattern(name):
    """A pattern of the table for Python's re, which knows neither \\p nor the same white space."""
    translated, in_class = [], False
    for token in re.findall(r"\\p\{\w+\}|\\.|.", PATTERNS[name]):
        if token in ("[", "]"):
            in_class = token == "["
        members = class_members(token[3:-1]) if token.startswith("\\p") else {r"\s": WHITE_SPACE}.get(token)
        if token == r"\S":
            token = f"[^{WHITE_SPACE}]"
        elif members is not None:
            token = members if in_class else f"[{members}]"
        translated.append(token)
    return re.compile("".join(translated))


def pre_tokens(pattern, text):
    """Cut a text."""
    if pattern != "smollm":
        return compile_pattern(pattern).findall(text)
    number = f"([{class_members('N')}])"
    return [piece for i, part in enumerate(re.split(number, text))
            for piece in ([part] if i % 2 else compile_pattern("gpt-2").findall(part))]


class Reader:
    """Takes the parts of the packed form one after the other."""

    def __init__(self, data):
        self._data, self._at = bytes(data), 0

    def take(self, form):
        values = struct.unpack_from("<" + form, self._data, self._at)
        self._at += struct.calcsize("<" + form)
        return values

    def text(self):
        length, = self.take("H")
        return self.take(f"{length}s")[0]

    def id(self):
        data, = self.take(f"{self.id_bytes}s")
        return None if data == b"\xff" * self.id_bytes else int.from_bytes(data, "little")

    def at_end(self):
        return self._at == len(self._data)


class Tokenizer:
    """Encodes and decodes; `tokens` maps ids to bytes."""

    def __init__(self, data):
        reader = Reader(data)
        magic, self.n_ids, n_merges, n_literals, n_added, unknown, first_result, reader.id_bytes, flags = reader.take(
            "8s6I2B")
        if magic != b"UPGTOK01":
            raise ValueError(f"tokenizer: {magic!r} is no version that this program reads")
        self.unknown = None if unknown == 0xFFFFFFFF else unknown
        self.whole_first = flags & 1
        self.pattern, self.template, _ = (reader.text().decode() for _ in range(3))
        self.byte_ids = [reader.id() for _ in range(256)]
        self.tokens = {id: bytes([byte]) for byte, id in enumerate(self.byte_ids) if id is not None}
        for _ in range(n_literals):
            id = reader.id()
            self.tokens[id] = reader.text()
        self.merges = {}  # (left, right): (rank, result)
        for rank in range(n_merges):
            left, right = reader.id(), reader.id()
            result = reader.id() if first_result == 0xFFFFFFFF else first_result + rank
            self.merges[left, right] = rank, result
            self.tokens[result] = self.tokens[left] + self.tokens[right]
        self.added = {}  # text: (id, flags)
        for _ in range(n_added):
            id, (added_flags,) = reader.id(), reader.take("B")
            text = reader.text()
            self.tokens[id] = text
            self.added[text.decode()] = id, added_flags
        if not reader.at_end():
            raise ValueError("tokenizer: something follows the last added token")
        self.ids = {text: id for id, text in self.tokens.items()}

    def _merge(self, ids):
        """Join the pair of the lowest rank until there is none."""
        while True:
            ranked = [(*self.merges[pair], i) for i, pair in enumerate(zip(ids, ids[1:])) if pair in self.merges]
            if not ranked:
                return ids
            _, result, i = min(ranked, key=lambda found: (found[0], found[2]))
            ids[i:i + 2] = [result]

    def _encode_plain(self, text):
        ids = []
        for piece in pre_tokens(self.pattern, text):
            data = piece.encode()
            if self.whole_first and data in self.ids:
                ids.append(self.ids[data])
                continue
            single = [self.unknown if self.byte_ids[byte] is None else self.byte_ids[byte] for byte in data]
            ids += self._merge([id for id in single if id is not None])
        return ids

    def encode(self, text, parse_special=False):
        """The ids of a text."""
        if not parse_special or not self.added:
            return self._encode_plain(text)
        ids, begin = [], 0
        longest_first = sorted(self.added, key=len, reverse=True)
        for match in re.finditer("|".join(map(re.escape, longest_first)), text):
            if match.start() < begin:
                continue  # swallowed by the white space of the one before
            id, flags = self.added[match[0]]
            before = text[begin:match.start()]
            if flags & 2:
                before = re.sub(f"[{WHITE_SPACE}]+\\Z", "", before)
            begin = match.end()
            if flags & 4:
                begin = re.compile(f"[{WHITE_SPACE}]*").match(text, begin).end()
            ids += [*self._encode_plain(before), id]
        return ids + self._encode_plain(text[begin:])

    def decode(self, ids):
        """The text of ids, without special tokens."""
        special = {id for id, flags in self.added.values() if flags & 1}
        return b"".join(self.tokens.get(id, b"") for id in ids if id not in special).decode("utf-8", "replace")
