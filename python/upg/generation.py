"""What comes out of a model: Generation, and streams for text as it comes."""
from __future__ import annotations

import queue
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, AsyncIterator, Callable, Iterator

from . import _convert

if TYPE_CHECKING:
    from . import _native

FINISH_REASONS = ("stop", "length", "cancelled")


@dataclass(frozen=True)
class TokenLogprob:
    """Natural logarithms of the model's own probabilities: of the token, and of the most probable ones, in order, as
    pairs of id and logprob."""
    logprob: float
    top: tuple[tuple[int, float], ...]


@dataclass(frozen=True)
class Generation:
    """An answer; str() gives its text.

    text                str
    ids                 list of the answer's token ids, a final end-of-text token not included
    finish_reason       "stop", "length" or "cancelled"
    prompt_tokens       number of tokens
    cached_tokens       of these, so many were not computed because an earlier prompt began alike
    prompt_seconds      until the first token was drawn
    generation_seconds  from there to the end
    seed                gives the same text again
    logprobs            a TokenLogprob for each token, if asked for; otherwise None
    parsed              with json_schema, the object that the text is; None if the answer was cut short
    """
    text: str
    ids: list[int]
    finish_reason: str
    prompt_tokens: int
    cached_tokens: int
    prompt_seconds: float
    generation_seconds: float
    seed: int
    logprobs: list[TokenLogprob] | None = None
    parsed: object = None

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


def parsed(choices, text, finish):
    """The object that a whole answer is."""
    return choices.parse(text) if choices.parse and FINISH_REASONS[finish] == "stop" else None


def of_sequence(native, choices):
    """A Generation from the tuple of Sequence.generate()."""
    text, ids, finish, prompt_tokens, prompt_seconds, generation_seconds = native
    return Generation(text, _convert.id_list(ids), FINISH_REASONS[finish], prompt_tokens, 0, prompt_seconds,
                      generation_seconds, choices.seed, parsed=parsed(choices, text, finish))


class Request:
    """A running request of a scheduler, as a source for a Stream."""

    def __init__(self, native: _native.Request, choices: _convert.Choices):
        self._native, self._choices = native, choices
        self.cancel = native.cancel

    def read(self, wait: bool = True) -> str | None:
        """New text; "" if there is none and wait is False; None at the end."""
        return self._native.read(wait)

    def result(self) -> Generation:
        """All of it, after the end."""
        text, ids, finish, prompt, cached, prompt_seconds, seconds, logprobs, _ = self._native.result()
        if logprobs is not None:
            logprobs = [TokenLogprob(logprob, tuple(top)) for logprob, top in logprobs]
        return Generation(text, _convert.id_list(ids), FINISH_REASONS[finish], prompt, cached, prompt_seconds, seconds,
                          self._choices.seed, logprobs, parsed(self._choices, text, finish))

    def embedding(self) -> bytes:
        """float32 numbers, after the end."""
        return self._native.result()[-1]


class ThreadSource:
    """A call that generates, in a thread of its own, as a source for a Stream."""

    def __init__(self, generate: Callable[[Callable[[str], bool]], Generation]):
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

        self._pieces, self._stop, self._end = pieces, stop, None
        threading.Thread(target=work, name="upg-stream", daemon=True).start()

    def cancel(self):
        self._stop.set()

    def read(self):
        """The next piece of text; None at the end."""
        piece = self._pieces.get()
        if isinstance(piece, str):
            return piece
        self._end = piece
        return None

    def result(self):
        if isinstance(self._end, BaseException):
            raise self._end
        return self._end


class Stream:
    """An iterator over the text of an answer while it is generated; each piece is whole characters.

    Leaving a `with` block, close() and the garbage collector stop the generation.  result() reads what is left and
    gives the Generation.  An error of the generation is raised where the next piece would have come.
    """

    def __init__(self, source):
        self._source = source
        self._finished = False
        self._result: Generation | None = None

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if self._finished:
            raise StopIteration
        try:
            piece = self._source.read()
        except BaseException:  # Ctrl-C
            self.close()
            raise
        if piece is None:
            self._finished = True
            self._result = self._source.result()
            raise StopIteration
        return piece

    def result(self) -> Generation:
        """Read the rest and return the whole answer."""
        for _ in self:
            pass
        if self._result is None:
            raise RuntimeError("the stream was closed or failed before it had a result")
        return self._result

    def close(self) -> None:
        """Stop generating."""
        self._finished = True
        self._source.cancel()

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *exception) -> None:
        self.close()

    def __del__(self):
        if hasattr(self, "_source"):
            self._source.cancel()


class AsyncStream:
    """A Stream for `async for`, `async with` and `await stream.result()`, in the event loop that it came from.

    A task that is cancelled while it waits, leaving `async with`, close() and the garbage collector stop the generation.
    """

    def __init__(self, request: Request, hub):
        self._request, self._hub = request, hub
        self._finished = False
        self._result: Generation | None = None
        hub.add(request)

    def __aiter__(self) -> AsyncIterator[str]:
        return self

    async def __anext__(self) -> str:
        if self._finished:
            raise StopAsyncIteration
        try:
            while (piece := self._request.read(wait=False)) == "":
                await self._hub.wait(self._request)
        except BaseException:  # the task was cancelled
            self.close()
            raise
        if piece is None:
            self._finished = True
            self._hub.remove(self._request)
            self._result = self._request.result()
            raise StopAsyncIteration
        return piece

    async def result(self) -> Generation:
        """Read the rest and return the whole answer."""
        async for _ in self:
            pass
        if self._result is None:
            raise RuntimeError("the stream was closed or failed before it had a result")
        return self._result

    def close(self) -> None:
        """Stop generating."""
        self._finished = True
        self._request.cancel()
        self._hub.remove(self._request)

    async def __aenter__(self) -> AsyncStream:
        return self

    async def __aexit__(self, *exception) -> None:
        self.close()

    def __del__(self):
        if not self._finished:
            self._request.cancel()
            self._hub.remove_soon(self._request)
