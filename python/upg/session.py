"""A row of tokens that grows: append, look at the logits, fork, go back, generate."""
from __future__ import annotations

import os
from typing import TYPE_CHECKING, Callable, Sequence

from . import _convert, _native
from .errors import ClosedError, UnsupportedError
from .generation import Generation, Stream, ThreadSource, of_sequence

if TYPE_CHECKING:
    import numpy

    from .tokenizer import Tokenizer


class Session:
    """One conversation or text in the making, from `model.session()`.

    Keys and values of its tokens stay in the engine's cache, so what was read once is not computed again.  All
    sessions of a model share one engine: calls from several threads take turns.
    """

    def __init__(self, native, tokenizer: Tokenizer | None, grammars):
        self._native = native
        self._grammars = grammars
        self._tokenizer = tokenizer

    def _open(self):
        if self._native is None:
            raise ClosedError("the session is closed")
        return self._native

    def __len__(self) -> int:
        """Number of tokens."""
        return self._open().n_tokens()

    @property
    def ids(self) -> list[int]:
        """The tokens."""
        return _convert.id_list(self._open().ids())

    def save(self, path: str | os.PathLike) -> None:
        """Write the session with what is computed of it, to go on later with `model.session(path)`.  The file is as
        large as the cache of its tokens (Phi-4 in f16: 0.2 MB a token)."""
        self._open().save(_convert.path(path))

    def append(self, prompt: str | Sequence[int], *, logits: int = 0, parse_special: bool = False,
               progress: Callable[[str, int, int], object] | None = None) -> numpy.ndarray | None:
        """Run text or ids through the model.

        logits: of how many of the last tokens to return logits; the array is float32 [logits, vocab], not normalised.
        progress(stage, done, total) is called from time to time.  After an error the session is as before.
        """
        native = self._open()
        ids = prompt_ids(prompt, self._tokenizer, parse_special)
        rows = native.append(ids, _convert.count("logits", logits, len(ids) // 4), progress)
        return as_array(rows) if logits else None

    def truncate(self, n_tokens: int) -> None:
        """Forget the tokens from position n_tokens on."""
        self._open().truncate(_convert.count("n_tokens", n_tokens))

    def fork(self) -> Session:
        """A copy that shares the cache until one of the two goes on."""
        return Session(self._open().fork(), self._tokenizer, self._grammars)

    def generate(self, prompt: str | Sequence[int] = (), *, stream: bool = False, parse_special: bool = False,
                 progress: Callable[[str, int, int], object] | None = None, **options,
                 ) -> Generation | Stream:
        """Append a prompt (nothing: go on from here) and generate; options: upg.GenerateOptions.  The session then
        holds prompt and answer."""
        native = self._open()
        choices = _convert.generate_options("generate", options)
        if choices.n_logprobs >= 0:
            raise UnsupportedError("logprobs: a session has none; use Model.generate(), or logits of append()")
        ids = prompt_ids(prompt, self._tokenizer, parse_special)
        grammar = self._grammars.get(choices.form)

        def generate(on_text):
            return of_sequence(native.generate(ids, choices.native, grammar, on_text, progress), choices)

        return Stream(ThreadSource(generate)) if stream else generate(None)

    def close(self) -> None:
        """Give the cache back.  May be called twice; every other method fails afterwards."""
        self._native = None

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *exception) -> None:
        self.close()


def prompt_ids(prompt, tokenizer, parse_special=False):
    """A prompt as bytes of int32."""
    if not _convert.is_text(prompt):
        return _convert.ids("prompt", prompt)
    if tokenizer is None:
        raise TypeError("this model has no tokenizer; give token ids")
    return tokenizer._native.encode(_convert.text_bytes("prompt", prompt), bool(parse_special))


def as_array(rows: _native.Rows) -> numpy.ndarray:
    """A NumPy array that shows the memory of rows; nothing is copied."""
    import numpy

    return numpy.asarray(rows)
