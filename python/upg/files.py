"""Functions over model files: compress, evaluate, verify, export, synth."""
from __future__ import annotations

import json
import os
from typing import Callable, Sequence

from . import _convert, _native
from .model import EngineOptions, KV_TYPES, Model, native_options

Path = "str | os.PathLike"
Progress = Callable[[str, int, int], object]


def compress(source: Path | None, destination: Path, *, ratio: float | None = None, bpw: float | None = None,
             size: int | None = None, effort: str = "normal", calibration: Path | Sequence[Path] = (),
             tune_steps: int | None = None, seed: int = 1, threads: int | None = None,
             on_message: Callable[[str], object] | None = None, progress: Progress | None = None) -> dict:
    """Compress a model into a .upg file and return a report: sizes, seconds, errors of each matrix, quality.

    source        a Hugging Face directory, a GGUF file or an uncompressed .upg file
    destination   the file to make; it appears when it is complete and checked
    ratio         the whole file is so many times smaller than float32 (default 10); or
    bpw           bits of the whole file for each weight; or
    size          bytes of the whole file
    effort        "fast", "normal" or "best"
    calibration   text files like what the model will see; none: the text that comes with upg
    tune_steps    of the last tuning of scales; None: by effort and size
    seed          the same source, options and seed give the same file
    on_message    called with lines for people
    progress      called as progress(stage, done, total)

    An interrupted call (Ctrl-C, an exception in a callback) goes on where it was when it is repeated.
    """
    if isinstance(calibration, (str, bytes, os.PathLike)):
        calibration = (calibration,)
    callback = None if on_message is None else lambda text: on_message(text) and False
    report = _native.compress(
        source=_convert.path(source), destination=_convert.path(destination), ratio=0.0 if ratio is None else ratio,
        bpw=0.0 if bpw is None else bpw, size=_convert.count("size", size, 2**63 - 1),
        effort=list(("fast", "normal", "best"))[_convert.choice("effort", effort, {"fast": 0, "normal": 1, "best": 2})],
        calibration=tuple(map(_convert.path, calibration)),
        tune_steps=None if tune_steps is None else _convert.count("tune_steps", tune_steps),
        seed=_convert.count("seed", seed, _convert.GREATEST_SEED), threads=_convert.count("threads", threads),
        on_message=callback, progress=progress)
    return json.loads(report)


def evaluate(model: Model, text: str, *, ref: Model | None = None, ctx: int = 0, stride: int = 0, max_tokens: int = 0,
             parse_special: bool = False, kv: str = "f16", progress: Progress | None = None) -> dict:
    """Perplexity of a text, and with `ref` the distance to another model with the same vocabulary.

    Windows of ctx tokens (0: 512, or what the model was made for where that is less) start every stride tokens (0:
    half a window); every token but the first is predicted once.  The dict has `tokens` (predictions), `context`,
    `stride`, `nll` (nats a token), `ppl`, `ppl_stderr`; with ref also `ref_nll`, `ref_ppl`, `kld_mean`, `kld_median`,
    `kld_p99` (nats), `top1_agreement` and `retention` (parts of 1).
    """
    models = [model] if ref is None else [model, ref]
    for each in models:
        if not isinstance(each, Model):
            raise TypeError(f"evaluate() takes models, not {type(each).__name__}")
    ctx = _convert.count("ctx", ctx) or min(512, model.info.context)
    engines = []
    for each in models:
        options = EngineOptions(each._options.threads, ctx, 0, _convert.choice("kv", kv, KV_TYPES),
                                each._options.compute, each._options.device, each._options.gpu_layers)
        engines.append(_native.Engine(*native_options(each._open(), options)))
    return _native.evaluate(
        engine=engines[0], reference=engines[1] if ref is not None else None, text=_convert.text_bytes("text", text),
        context=ctx, stride=_convert.count("stride", stride), max_tokens=_convert.count("max_tokens", max_tokens),
        parse_special=bool(parse_special), progress=progress)


def verify(path: Path | None = None, *, progress: Progress | None = None) -> None:
    """Check every byte of a model's file against its checksums; FormatError names the tensor that is damaged."""
    _native.verify(_convert.path(path), progress)


def export(source: Path | None, destination: Path, *, format: str = "hf", threads: int | None = None,
           progress: Progress | None = None) -> None:
    """Write a model for other programs in bfloat16: format "hf" (a new directory) or "gguf" (a file)."""
    _native.export(source=_convert.path(source), destination=_convert.path(destination),
                   format=_convert.choice("format", format, {"hf": 0, "gguf": 1}),
                   threads=_convert.count("threads", threads), progress=progress)


def synth(destination: Path, *, shape: str = "phi-4", format: str = "upg", layers: int = 0, bpw: float = 3.2,
          seed: int = 1, threads: int | None = None, progress: Progress | None = None) -> None:
    """Write a model of a known shape with random weights, to measure speed and memory: "phi-4", "phi-4-reasoning",
    "phi-4-mini", "small" or "tiny"; format "upg" or "hf"; layers 0: as many as the shape has."""
    _native.synth(destination=_convert.path(destination), shape=shape,
                  format=_convert.choice("format", format, {"upg": 0, "hf": 1}),
                  layers=_convert.count("layers", layers), bpw=bpw,
                  seed=_convert.count("seed", seed, _convert.GREATEST_SEED),
                  threads=_convert.count("threads", threads), progress=progress)
