"""A model: open it, ask it."""
from __future__ import annotations

import json
import os
import threading
import weakref
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Callable, Mapping, Sequence

from . import _convert, _native
from .errors import ClosedError, UnsupportedError
from .generation import Generation, Stream
from .session import Session, as_array, prompt_ids, run
from .tokenizer import Tokenizer, message_list

if TYPE_CHECKING:
    import numpy

KV_TYPES = {"f16": 0, "q8": 1, "q4": 2, "f32": 3}
COMPUTE = {"fast": 0, "reference": 1}


@dataclass(frozen=True)
class ModelInfo:
    """What a model is.  Sizes are numbers of elements; context is the longest text in tokens that it was made for."""
    architecture: str
    format: str
    path: str
    parameters: int
    file_bytes: int
    layers: int
    d_model: int
    d_ff: int
    heads: int
    kv_heads: int
    head_dim: int
    rotary_dim: int
    vocab: int
    context: int
    rope_theta: float
    norm_eps: float
    tied_embeddings: bool
    stop_ids: tuple[int, ...]
    chat_template: str | None
    metadata: dict = field(default_factory=dict)


@dataclass(frozen=True)
class TensorInfo:
    """A tensor of a model's file: bits a weight with scales and padding, bytes as stored."""
    name: str
    type: str
    shape: tuple[int, ...]
    bits: float
    bytes: int


@dataclass(frozen=True)
class EngineOptions:
    """What Model.open() was told about the machine."""
    threads: int
    context: int
    cache_tokens: int
    kv_type: int
    compute: int


def engine_options(device, threads, ctx, cache_tokens, kv, compute):
    """Checked EngineOptions."""
    if device not in ("auto", "cpu"):
        raise UnsupportedError(f"device: {device!r}: this version computes on the CPU; say 'auto' or 'cpu'")
    if threads is None:
        threads = int(os.environ.get("UPG_THREADS") or 0)
    return EngineOptions(_convert.count("threads", threads), _convert.count("ctx", ctx),
                         _convert.count("cache_tokens", cache_tokens), _convert.choice("kv", kv, KV_TYPES),
                         _convert.choice("compute", compute, COMPUTE))


def new_engine(native, options: EngineOptions):
    """A native engine; UPG_CPU limits the instructions as it does for the command line."""
    return _native.Engine(native, options.threads, options.context, options.cache_tokens, options.kv_type,
                          options.compute, os.environ.get("UPG_CPU"))


class Model:
    """A language model.  Open one with Model.open(), or `with Model.open() as model:`.

    All threads may use it; calls that compute take turns.  After os.fork() the child gets an engine of its own, while
    sessions stay with the parent.  Long calls end with KeyboardInterrupt on Ctrl-C and leave the model usable.
    """

    def __init__(self, native, options: EngineOptions):
        """For Model.open()."""
        self._native = native
        self._options = options
        self._engine = None
        self._engine_process = 0
        self._lock = threading.Lock()
        tokenizer = _native.Tokenizer(native)
        self._tokenizer = None if tokenizer is None else Tokenizer(tokenizer)
        _models.add(self)

    @classmethod
    def open(cls, path: str | os.PathLike | None = None, *, device: str = "auto", threads: int | None = None,
             ctx: int = 0, cache_tokens: int = 0, kv: str = "f16", compute: str = "fast",
             progress: Callable[[str, int, int], object] | None = None) -> Model:
        """Open a .upg file, a Hugging Face directory or a GGUF file; None: the embedded model.

        device        "auto" or "cpu"
        threads       None: the environment's UPG_THREADS, or one for each physical core
        ctx           tokens of prompt and answer together; 0: what the model was made for, at most 4096
        cache_tokens  tokens that the cache holds for all sessions together; 0: as many as ctx
        kv            how keys and values are kept: "f16", "q8" (half the memory), "q4" (a quarter) or "f32"
        compute       "reference": the plain scalar form that the fast one is tested against, slow
        progress      called as progress(stage, done, total)

        Weights are mapped: pages are read when they are first used.  FileError, FormatError, UnsupportedError,
        OutOfMemoryError say what is wrong with the file.
        """
        options = engine_options(device, threads, ctx, cache_tokens, kv, compute)
        return cls(_native.Model(_convert.path(path), progress), options)

    def _open(self):
        native = self._native
        if native is None:
            raise ClosedError("the model is closed")
        return native

    def _get_engine(self):
        """The engine of this process, made when it is first needed."""
        with self._lock:
            native = self._open()
            if self._engine is None or self._engine_process != os.getpid():
                self._engine = new_engine(native, self._options)
                self._engine_process = os.getpid()
            return self._engine

    def __repr__(self) -> str:
        if self._native is None:
            return "<upg.Model, closed>"
        info = self.info
        return f"<upg.Model {info.path}: {info.architecture}, {info.parameters / 1e6:.1f} million weights>"

    @property
    def info(self) -> ModelInfo:
        """Shape, constants and origin."""
        fields = self._open().info()
        fields["metadata"] = json.loads(fields["metadata"] or "{}")
        return ModelInfo(**fields)

    @property
    def tensors(self) -> list[TensorInfo]:
        """The tensors of the file, in its order."""
        return [TensorInfo(*fields) for fields in self._open().tensors()]

    @property
    def tokenizer(self) -> Tokenizer:
        """The model's tokenizer.  UnsupportedError if it came without one: then prompts are ids."""
        self._open()
        if self._tokenizer is None:
            raise UnsupportedError(f"{self.info.path}: has no tokenizer; give token ids")
        return self._tokenizer

    @property
    def tier(self) -> str:
        """The processor instructions in use, and why no higher ones."""
        return self._get_engine().tier()

    def generate(self, prompt: str | Sequence[int], *, stream: bool = False, parse_special: bool = False,
                 progress: Callable[[str, int, int], object] | None = None, **options) -> Generation | Stream:
        """Continue a text (or token ids).

        With stream, the result is a Stream: an iterator over text as it comes.  parse_special: names of special tokens
        in a text become these tokens.  Options: upg.GenerateOptions.
        """
        self._open()
        made = _convert.generate_options("generate", options)
        ids = prompt_ids(prompt, self._tokenizer, parse_special)
        return run(_native.Sequence(self._get_engine()), ids, made, stream, progress)

    def chat(self, messages: str | Sequence[Mapping], *, system: str | None = None, stream: bool = False,
             progress: Callable[[str, int, int], object] | None = None, **options) -> Generation | Stream:
        """Answer a conversation: a question as str, or messages as Tokenizer.render_chat() takes them.

        system: who the assistant is; a system message in front.  Options: upg.GenerateOptions.
        """
        made = _convert.generate_options("chat", options)
        messages = message_list(messages)
        if system is not None:
            messages.insert(0, {"role": "system", "content": system})
        _, ids = self.tokenizer.render_chat(messages)
        return run(_native.Sequence(self._get_engine()), _convert.ids("messages", ids), made, stream, progress)

    def logits(self, prompt: str | Sequence[int], *, last: int | None = None, parse_special: bool = False,
               ) -> numpy.ndarray:
        """Logits of a text's tokens: float32 [n, vocab], row i for what follows token i, not normalised.

        last: only of so many tokens at the end.  A row of Phi-4 is 400 kB.
        """
        self._open()
        ids = prompt_ids(prompt, self._tokenizer, parse_special)
        n = len(ids) // 4
        wanted = n if last is None else _convert.count("last", last, n)
        return as_array(_native.Sequence(self._get_engine()).append(ids, wanted, None))

    def session(self) -> Session:
        """A new empty Session."""
        return Session(_native.Sequence(self._get_engine()), self._tokenizer)

    def close(self) -> None:
        """Forget the model; its memory is given back when running calls, streams and sessions have ended.  May be
        called twice; every other method fails afterwards."""
        with self._lock:
            self._native = self._engine = self._tokenizer = None

    def __enter__(self) -> Model:
        return self

    def __exit__(self, *exception) -> None:
        self.close()


# A lock that another thread held during fork() would stay locked in the child.
_models: weakref.WeakSet = weakref.WeakSet()


def _renew_locks():
    for model in list(_models):
        model._lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_locks)
