"""Grammars and constraints of libupg through ctypes."""
import ctypes as c
import os

SCHEMA, REGEX, GBNF = 0, 1, 2
FORMAT, UNSUPPORTED, ARGUMENT = 3, 4, 1


class Error(c.Structure):
    _fields_ = [("status", c.c_int), ("message", c.c_char * 1024)]


class Options(c.Structure):
    _fields_ = [("size", c.c_size_t), ("whitespace", c.c_int), ("max_bytes", c.c_size_t)]


class Refused(Exception):
    """A call that gave a status other than UPG_OK."""

    def __init__(self, status, message):
        super().__init__(message)
        self.status = status


class Library:
    def __init__(self, path):
        self.lib = c.CDLL(path)
        pointer, size, text = c.c_void_p, c.c_size_t, c.c_char_p
        self.lib.upg_constraint_n_words.restype = size
        self.lib.upg_constraint_n_tokens.restype = size
        for name, arguments in {
                "upg_tokenizer_open": [pointer, text],
                "upg_vocabulary_new": [pointer, pointer, pointer, size],
                "upg_grammar_new": [pointer, pointer, c.c_int, text, size, pointer],
                "upg_constraint_new": [pointer, pointer],
                "upg_constraint_fork": [pointer, pointer],
                "upg_constraint_mask": [pointer, pointer, size],
                "upg_constraint_mask_within": [pointer, size, pointer, size],
                "upg_constraint_n_needed": [pointer, pointer],
                "upg_constraint_accept": [pointer, c.c_int32],
                "upg_constraint_accept_text": [pointer, text, size],
                "upg_constraint_rollback": [pointer, size]}.items():
            getattr(self.lib, name).argtypes = arguments + [pointer]
        for name in ("upg_tokenizer_n_ids",):
            getattr(self.lib, name).argtypes = [pointer]
            getattr(self.lib, name).restype = size
        for name in ("upg_constraint_n_words", "upg_constraint_n_tokens", "upg_constraint_at_end"):
            getattr(self.lib, name).argtypes = [pointer]
        for name in ("upg_grammar_free", "upg_constraint_free", "upg_vocabulary_free", "upg_tokenizer_free",
                     "upg_grammar_options_defaults"):
            getattr(self.lib, name).argtypes = [pointer]
            getattr(self.lib, name).restype = None
        self.lib.upg_token_bytes.argtypes = [pointer, c.c_int32, c.c_int, pointer, pointer]
        self.lib.upg_token_bytes.restype = None

    def call(self, name, *arguments):
        error = Error()
        status = getattr(self.lib, name)(*arguments, c.byref(error))
        if status:
            raise Refused(status, error.message.decode())


class Vocabulary:
    """A tokenizer and its vocabulary; tokens[id] is what may be generated, None for control tokens."""

    def __init__(self, library, path, stop_texts):
        self.library = library
        tokenizer, self.pointer = c.c_void_p(), c.c_void_p()
        library.call("upg_tokenizer_open", c.byref(tokenizer), os.fsencode(path))
        data, n = c.c_char_p(), c.c_size_t()
        self.tokens = []
        for i in range(library.lib.upg_tokenizer_n_ids(tokenizer)):
            library.lib.upg_token_bytes(tokenizer, i, 0, c.byref(data), c.byref(n))
            self.tokens.append(c.string_at(data, n.value) if n.value else b"")
        self.stop_ids = [self.tokens.index(text) for text in stop_texts]
        stops = (c.c_int32 * len(self.stop_ids))(*self.stop_ids)
        library.call("upg_vocabulary_new", c.byref(self.pointer), tokenizer, stops, len(stops))
        library.lib.upg_tokenizer_free(tokenizer)

    def grammar(self, kind, text, compact=False, max_bytes=0):
        return Grammar(self, kind, text, compact, max_bytes)


class Grammar:
    def __init__(self, vocabulary, kind, text, compact=False, max_bytes=0):
        self.vocabulary, self.library, self.pointer = vocabulary, vocabulary.library, c.c_void_p()
        options, data = Options(), text if isinstance(text, bytes) else text.encode()
        self.library.lib.upg_grammar_options_defaults(c.byref(options))
        options.whitespace, options.max_bytes = int(compact), max_bytes
        self.library.call("upg_grammar_new", c.byref(self.pointer), vocabulary.pointer, kind, data, len(data),
                          c.byref(options))

    def __del__(self):
        self.library.lib.upg_grammar_free(self.pointer)

    def start(self):
        return Constraint(self)

    def matches(self, text):
        """Is the whole text one of the grammar?"""
        constraint = self.start()
        try:
            constraint.accept_text(text)
        except Refused:
            return False
        return constraint.at_end() > 0


class Constraint:
    def __init__(self, grammar, pointer=None):
        self.grammar, self.library, self.pointer = grammar, grammar.library, pointer or c.c_void_p()
        if not pointer:
            self.library.call("upg_constraint_new", c.byref(self.pointer), grammar.pointer)
        self.n_words = self.library.lib.upg_constraint_n_words(self.pointer)
        self.bits = (c.c_uint32 * self.n_words)()

    def __del__(self):
        self.library.lib.upg_constraint_free(self.pointer)

    def mask(self):
        """The mask as one integer: bit id is set for what may come next."""
        self.library.call("upg_constraint_mask", self.pointer, self.bits, self.n_words)
        return int.from_bytes(bytes(self.bits), "little")

    def mask_within(self, n_left):
        self.library.call("upg_constraint_mask_within", self.pointer, n_left, self.bits, self.n_words)
        return int.from_bytes(bytes(self.bits), "little")

    def n_needed(self):
        """Tokens that are enough to complete the text; None where that is not known."""
        n = c.c_size_t()
        self.library.call("upg_constraint_n_needed", self.pointer, c.byref(n))
        return n.value if n.value < 2**64 - 1 else None

    def allowed(self, n_left=0):
        mask, ids = self.mask_within(n_left), []
        while mask:
            lowest = mask & -mask
            ids.append(lowest.bit_length() - 1)
            mask ^= lowest
        return ids

    def accept(self, token):
        self.library.call("upg_constraint_accept", self.pointer, token)

    def accept_text(self, text):
        data = text if isinstance(text, bytes) else text.encode()
        self.library.call("upg_constraint_accept_text", self.pointer, data, len(data))

    def rollback(self, n):
        self.library.call("upg_constraint_rollback", self.pointer, n)

    def fork(self):
        copy = c.c_void_p()
        self.library.call("upg_constraint_fork", c.byref(copy), self.pointer)
        return Constraint(self.grammar, copy)

    def at_end(self):
        return self.library.lib.upg_constraint_at_end(self.pointer)

    def n_tokens(self):
        return self.library.lib.upg_constraint_n_tokens(self.pointer)
