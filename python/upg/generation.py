"""What comes out of a model: Generation, and Stream for text as it comes."""
from __future__ import annotations

import queue
import threading
from dataclasses import dataclass
from typing import Callable, Iterator

from . import _convert

FINISH_REASONS = ("stop", "length", "cancelled")


@dataclass(frozen=True)
class Generation:
    """An answer; str() gives its text.

    text                str
    ids                 list of the answer's token ids, a final end-of-text token not included
    finish_reason       "stop", "length" or "cancelled"
    prompt_tokens       number of tokens
    prompt_seconds      time until the first token was drawn
    generation_seconds  time from there to the end
    seed                gives the same text again
    """
    text: str
    ids: list[int]
    finish_reason: str
    prompt_tokens: int
    prompt_seconds: float
    generation_seconds: float
    seed: int

    @property
    def completion_tokens(self) -> int:
        """Number of tokens of the answer."""
        return len(self.ids)

    @property
    def tokens_per_second(self) -> float:
        """Speed of the answer; 0 if it was too short to measure."""
        return len(self.ids) / self.generation_seconds if self.generation_seconds > 0 else 0.0

    def __str__(self) -> str:
        return self.text


def make_generation(native, seed):
    """A Generation from the extension module's tuple."""
    text, ids, finish, prompt_tokens, prompt_seconds, generation_seconds = native
    return Generation(text, _convert.id_list(ids), FINISH_REASONS[finish], prompt_tokens, prompt_seconds,
                      generation_seconds, seed)


class Stream:
    """An iterator over the text of an answer while it is generated; each piece is whole characters.

    Leaving a `with` block, close() and the garbage collector stop the generation.  result() reads what is left and
    gives the Generation.  An error of the generation is raised where the next piece would have come.
    """

    def __init__(self, generate: Callable[[Callable[[str], bool]], Generation]):
        """`generate(on_text)` does the work in a thread of its own; on_text(piece) returns True to stop."""
        pieces: queue.SimpleQueue = queue.SimpleQueue()
        stop = threading.Event()

        def on_text(piece):
            pieces.put(piece)
            return stop.is_set()

        def work():
            try:
                pieces.put(generate(on_text))
            except BaseException as error:  # whatever it is belongs to the reader
                pieces.put(error)

        self._pieces, self._stop = pieces, stop
        self._result: Generation | None = None
        self._finished = False
        self._thread = threading.Thread(target=work, name="upg-stream", daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if self._finished:
            raise StopIteration
        try:
            piece = self._pieces.get()
        except BaseException:  # Ctrl-C
            self._stop.set()
            raise
        if isinstance(piece, str):
            return piece
        self._finished = True
        if isinstance(piece, BaseException):
            raise piece
        self._result = piece
        raise StopIteration

    def result(self) -> Generation:
        """Read the rest and return the whole answer."""
        for _ in self:
            pass
        if self._result is None:
            raise RuntimeError("the stream was closed or failed before it had a result")
        return self._result

    def close(self) -> None:
        """Stop generating and wait until the model is free."""
        self._stop.set()
        self._finished = True
        self._thread.join()

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *exception) -> None:
        self.close()

    def __del__(self):
        if hasattr(self, "_stop"):
            self._stop.set()
