"""A model: open it, ask it."""
from __future__ import annotations

import functools
import json
import os
import threading
import weakref
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Callable, Iterable, Mapping, Sequence

from . import _convert, _native
from ._convert import GenerateOptions
from ._hub import current_hub
from .errors import BusyError, ClosedError, UnsupportedError
from .generation import AsyncStream, Generation, Request, Stream
from .session import Session, as_array, prompt_ids
from .tokenizer import Tokenizer, message_list

if TYPE_CHECKING:
    import numpy
    from typing_extensions import Unpack

KV_TYPES = {"f16": 0, "q8": 1, "q4": 2, "f32": 3}
GENERATE, EMBED_MEAN, EMBED_LAST = range(3)
POOLING = {"mean": EMBED_MEAN, "last": EMBED_LAST}
KEPT_GRAMMARS = 64
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
    device: str | None
    gpu_layers: int  # -1: as many as fit


def engine_options(device, threads, ctx, cache_tokens, kv, compute, gpu_layers):
    """Checked EngineOptions."""
    if not isinstance(device, str):
        raise TypeError(f"device must be a str, not {type(device).__name__}")
    if threads is None:
        threads = int(os.environ.get("UPG_THREADS") or 0)
    return EngineOptions(_convert.count("threads", threads), _convert.count("ctx", ctx),
                         _convert.count("cache_tokens", cache_tokens), _convert.choice("kv", kv, KV_TYPES),
                         _convert.choice("compute", compute, COMPUTE), None if device == "auto" else device,
                         -1 if gpu_layers is None else _convert.count("gpu_layers", gpu_layers))


def native_options(native, options: EngineOptions):
    """What native engines and schedulers take; UPG_CPU limits the instructions as it does for the command line."""
    return (native, options.threads, options.context, options.cache_tokens, options.kv_type, options.compute,
            os.environ.get("UPG_CPU"), options.device, options.gpu_layers)


class OfProcess:
    """An object that belongs to one process: made when it is first needed, and again in a child after fork()."""

    def __init__(self, make):
        self._make, self._made, self._process = make, None, 0
        self._lock = threading.Lock()
        _all_of_process.add(self)

    def get(self, *arguments):
        with self._lock:
            if self._made is None or self._process != os.getpid():
                self._made, self._process = self._make(*arguments), os.getpid()
            return self._made

    def forget(self):
        with self._lock:
            self._made = None

    def renew_lock(self):
        """A lock that another thread held during fork() would stay locked in the child."""
        self._lock = threading.Lock()


_all_of_process: weakref.WeakSet = weakref.WeakSet()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lambda: [each.renew_lock() for each in list(_all_of_process)])


class Grammars:
    """Compiled grammars of a model, the last ones used."""

    def __init__(self, native):
        self._vocabulary = functools.lru_cache(maxsize=1)(lambda: _native.Vocabulary(native))
        self._compile = functools.lru_cache(maxsize=KEPT_GRAMMARS)(
            lambda form: _native.Grammar(self._vocabulary(), *form))

    def get(self, form):
        """A native Grammar of kind and text; None for None."""
        return None if form is None else self._compile(form)


class Model:
    """A language model.  Open one with Model.open(), or `with Model.open() as model:`.

    All threads may use it, and what they ask at the same time is computed together.  Sessions and logits have an engine
    of their own, where calls take turns.  After os.fork() the child gets new engines, while sessions stay with the
    parent.  Long calls end with KeyboardInterrupt on Ctrl-C and leave the model usable.
    """

    def __init__(self, native, options: EngineOptions):
        """For Model.open()."""
        self._native = native
        self._options = options
        self._engine = OfProcess(lambda native: _native.Engine(*native_options(native, options)))
        self._scheduler = OfProcess(lambda native: _native.Scheduler(*native_options(native, options)))
        tokenizer = _native.Tokenizer(native)
        self._tokenizer = None if tokenizer is None else Tokenizer(tokenizer)
        self._grammars = Grammars(native)

    @classmethod
    def open(cls, path: str | os.PathLike | None = None, *, device: str = "auto", threads: int | None = None,
             ctx: int = 0, cache_tokens: int = 0, kv: str = "f16", compute: str = "fast",
             gpu_layers: int | None = None,
             progress: Callable[[str, int, int], object] | None = None) -> Model:
        """Open a .upg file, a Hugging Face directory or a GGUF file; None: the embedded model.

        device        "auto" and "cpu": the processor; "gpu": the best GPU; "gpu:N": number N
        threads       None: the environment's UPG_THREADS, or one for each physical core
        ctx           tokens of prompt and answer together; 0: what the model was made for, at most 4096
        cache_tokens  tokens that the caches hold for all at work together; 0: four times ctx for requests, ctx for
                      sessions
        kv            how keys and values are kept: "f16", "q8" (half the memory), "q4" (a quarter) or "f32"
        compute       "reference": the plain scalar form that the fast one is tested against, slow
        gpu_layers    with a GPU: the model's last layers that are computed there, the others by the processor; None: as
                      many as its free memory holds
        progress      called as progress(stage, done, total)

        Weights are mapped: pages are read when they are first used.  FileError, FormatError, UnsupportedError,
        OutOfMemoryError say what is wrong with the file.
        """
        options = engine_options(device, threads, ctx, cache_tokens, kv, compute, gpu_layers)
        return cls(_native.Model(_convert.path(path), progress), options)

    def _open(self):
        native = self._native
        if native is None:
            raise ClosedError("the model is closed")
        return native

    def _get_engine(self):
        return self._engine.get(self._open())

    def _get_scheduler(self):
        return self._scheduler.get(self._open())

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
        return self._get_scheduler().tier()

    def _submit(self, ids, choices, kind=GENERATE, notify=-1):
        scheduler = self._get_scheduler()
        grammar = self._grammars.get(choices.form)
        return scheduler.submit(kind, ids, choices.native, choices.n_logprobs, notify, grammar)

    def _chat_ids(self, messages, system):
        messages = message_list(messages)
        if system is not None:
            messages.insert(0, {"role": "system", "content": system})
        _, ids = self.tokenizer.render_chat(messages)
        return _convert.ids("messages", ids)

    def _prompt_ids(self, prompt, parse_special=False):
        self._open()
        return prompt_ids(prompt, self._tokenizer, parse_special)

    def _start(self, ids, choices):
        return Stream(Request(self._submit(ids, choices), choices))

    def _start_async(self, ids, choices):
        hub = current_hub()
        try:
            request = Request(self._submit(ids, choices, notify=hub.fd), choices)
        except BaseException:
            hub.close_if_unused()
            raise
        return AsyncStream(request, hub)

    def generate(self, prompt: str | Sequence[int], *, stream: bool = False, parse_special: bool = False,
                 **options: Unpack[GenerateOptions]) -> Generation | Stream:
        """Continue a text (or token ids).

        With stream, the result is a Stream: an iterator over text as it comes.  parse_special: names of special tokens
        in a text become these tokens.  Options: upg.GenerateOptions.
        """
        choices = _convert.generate_options("generate", options)
        started = self._start(self._prompt_ids(prompt, parse_special), choices)
        return started if stream else started.result()

    def chat(self, messages: str | Sequence[Mapping], *, system: str | None = None, stream: bool = False,
             **options: Unpack[GenerateOptions]) -> Generation | Stream:
        """Answer a conversation: a question as str, or messages as Tokenizer.render_chat() takes them.

        system: who the assistant is; a system message in front.  Options: upg.GenerateOptions.
        """
        choices = _convert.generate_options("chat", options)
        started = self._start(self._chat_ids(messages, system), choices)
        return started if stream else started.result()

    async def agenerate(self, prompt: str | Sequence[int], *, stream: bool = False, parse_special: bool = False,
                        **options: Unpack[GenerateOptions]) -> Generation | AsyncStream:
        """generate() for asyncio.  Requests of many tasks are computed together; cancelling a task cancels its
        request."""
        choices = _convert.generate_options("agenerate", options)
        started = self._start_async(self._prompt_ids(prompt, parse_special), choices)
        return started if stream else await started.result()

    async def achat(self, messages: str | Sequence[Mapping], *, system: str | None = None, stream: bool = False,
                    **options: Unpack[GenerateOptions]) -> Generation | AsyncStream:
        """chat() for asyncio, like agenerate()."""
        choices = _convert.generate_options("achat", options)
        started = self._start_async(self._chat_ids(messages, system), choices)
        return started if stream else await started.result()

    def batch(self, prompts: Iterable[str | Sequence[int]], *, parse_special: bool = False,
              **options: Unpack[GenerateOptions]) -> list[Generation]:
        """Continue many texts at once, computed together; the answers are those of generate(), in order."""
        choices = _convert.generate_options("batch", options)
        ids = [self._prompt_ids(prompt, parse_special) for prompt in prompts]
        return [request.result() for request in self._finish_all(ids, choices, GENERATE)]

    def _finish_all(self, prompts, choices, kind):
        """Finished requests.  Where the queue is full, the oldest one that is not finished is waited for."""
        requests: list[Request] = []
        n_finished = 0
        try:
            while n_finished < len(prompts):
                if len(requests) < len(prompts):
                    try:
                        requests.append(Request(self._submit(prompts[len(requests)], choices, kind), choices))
                        continue
                    except BusyError:
                        if n_finished == len(requests):  # full of the requests of others
                            raise
                while requests[n_finished].read() is not None:
                    pass
                n_finished += 1
        except BaseException:
            for request in requests:
                request.cancel()
            raise
        return requests

    def embed(self, texts: str | Sequence[str] | Sequence[Sequence[int]], *, pooling: str = "mean") -> numpy.ndarray:
        """Embeddings of texts (or lists of ids): float32 [n, d_model], each of length 1.

        pooling: "mean" of the last hidden states of all tokens, or that of the "last" token.  One str gives [d_model].
        """
        import numpy

        kind = _convert.choice("pooling", pooling, POOLING)
        single = _convert.is_text(texts)
        choices = _convert.generate_options("embed", {})
        ids = [self._prompt_ids(text) for text in ([texts] if single else texts)]
        rows = [numpy.frombuffer(request.embedding(), numpy.float32)
                for request in self._finish_all(ids, choices, kind)]
        if single:
            return rows[0]
        return numpy.stack(rows) if rows else numpy.empty((0, self.info.d_model), numpy.float32)

    def logits(self, prompt: str | Sequence[int], *, last: int | None = None, parse_special: bool = False,
               ) -> numpy.ndarray:
        """Logits of a text's tokens: float32 [n, vocab], row i for what follows token i, not normalised.

        last: only of so many tokens at the end.  A row of Phi-4 is 400 kB.
        """
        ids = self._prompt_ids(prompt, parse_special)
        n = len(ids) // 4
        wanted = n if last is None else _convert.count("last", last, n)
        return as_array(_native.Sequence(self._get_engine()).append(ids, wanted, None))

    def hidden(self, prompt: str | Sequence[int], *, parse_special: bool = False) -> numpy.ndarray:
        """States of a text's tokens behind the last norm, which the head makes logits of: float32 [n, d_model]."""
        ids = self._prompt_ids(prompt, parse_special)
        return as_array(_native.Sequence(self._get_engine()).hidden(ids, None))

    def session(self, path: str | os.PathLike | None = None) -> Session:
        """A new empty Session, or one that Session.save() wrote with the same model, kv and processor instructions."""
        saved = () if path is None else (_convert.path(path),)
        return Session(_native.Sequence(self._get_engine(), *saved), self._tokenizer, self._grammars)

    def close(self) -> None:
        """Forget the model; its memory is given back when running calls, streams and sessions have ended.  May be
        called twice; every other method fails afterwards."""
        self._native = self._tokenizer = None
        self._engine.forget()
        self._scheduler.forget()

    def __enter__(self) -> Model:
        return self

    def __exit__(self, *exception) -> None:
        self.close()
