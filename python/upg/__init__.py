"""upg: the Phi-4 family, compressed ten to one, generating at the speed of the machine's memory.

    import upg

    with upg.Model.open() as model:         # a .upg file, a Hugging Face directory, a GGUF file; none: embedded
        for text in model.chat("Tell me a story.", stream=True):
            print(text, end="", flush=True)
"""
from . import _native
from ._convert import GenerateOptions
from .errors import (ArgumentError, BusyError, CancelledError, ClosedError, ContextError, Error, FileError,
                     FormatError, InternalError, OutOfMemoryError, SpaceError, UnsupportedError)
from .files import compress, evaluate, export, synth, verify
from .generation import AsyncStream, Generation, Stream, TokenLogprob
from .model import Model, ModelInfo, TensorInfo
from .session import Session
from .tokenizer import Tokenizer

__version__ = _native.version()

__all__ = [
    "ArgumentError", "AsyncStream", "BusyError", "CancelledError", "ClosedError", "ContextError", "Error",
    "FileError", "FormatError", "GenerateOptions", "Generation", "InternalError", "Model", "ModelInfo",
    "OutOfMemoryError", "Session", "SpaceError", "Stream", "TensorInfo", "TokenLogprob", "Tokenizer",
    "UnsupportedError", "compress", "evaluate", "export", "synth", "verify",
]
