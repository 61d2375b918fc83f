"""From what a caller passes to what the extension module takes, with errors that name the argument."""
from __future__ import annotations

import difflib
import json
import operator
import os
import secrets
from array import array
from typing import Callable, Mapping, NamedTuple, Sequence, TypedDict

from .errors import ArgumentError

GREATEST_SIZE = 2**31 - 1  # of tokens and threads: more than any machine holds, and no overflow below
GREATEST_SEED = 2**64 - 1
GREATEST_LOGPROBS = 20
FORMS = {"json_schema": 0, "regex": 1, "grammar": 2}


class GenerateOptions(TypedDict, total=False):
    """Keyword arguments of everything that generates; the names are those of the command line.

    max_tokens           most tokens of the answer; 0 (default): until the model ends it or the context is full
    temperature          0.7; 0 always takes the most probable token
    greedy               True: the same as temperature=0
    top_k                draw from the K most probable tokens; 0 (default): from all
    top_p                0.9: draw from the most probable tokens that have this probability together, 0 < p <= 1
    min_p                0: draw from tokens at least this part as probable as the most probable one, 0 .. 1
    repetition_penalty   1: above 1, tokens of prompt and answer become less probable
    presence_penalty     0, -2 .. 2: subtracted from the logit of each token that the answer has
    frequency_penalty    0, -2 .. 2: the same for each time that the answer has it
    logit_bias           {id: bias}: added to the logits of these tokens; -inf bans one
    stop                 text or texts that end the answer, which does not include them
    seed                 0 .. 2**64 - 1: the same seed gives the same text; default: random, see Generation.seed
    logprobs             0 .. 20: Generation.logprobs tells the log-probability of each token and of so many others
    json_schema          the answer is JSON of this schema: a dict, its JSON text, True (any JSON) or a pydantic class;
                         Generation.parsed then has the object
    regex                the whole answer matches this pattern (ECMAScript)
    grammar              the answer is derived from "root" of this GBNF grammar
    ignore_stop_ids      True: go on after the model's end-of-text tokens (for measurements)
    """
    max_tokens: int
    temperature: float
    greedy: bool
    top_k: int
    top_p: float
    min_p: float
    repetition_penalty: float
    presence_penalty: float
    frequency_penalty: float
    logit_bias: Mapping[int, float]
    stop: str | Sequence[str]
    seed: int
    logprobs: int | None
    json_schema: Mapping | str | bool | type
    regex: str
    grammar: str
    ignore_stop_ids: bool


DEFAULTS = {
    "max_tokens": 0, "temperature": 0.7, "top_k": 0, "top_p": 0.9, "min_p": 0.0, "repetition_penalty": 1.0,
    "presence_penalty": 0.0, "frequency_penalty": 0.0, "seed": None, "logit_bias": {}, "stop": (),
    "ignore_stop_ids": False, "logprobs": None,
}  # the order is that of the extension module


def count(name, value, greatest=GREATEST_SIZE):
    """An int from 0 to `greatest`; None is 0."""
    if value is None:
        return 0
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be an int, not {type(value).__name__}") from None
    if not 0 <= number <= greatest:
        raise ArgumentError(f"{name}: {number} is not in 0 .. {greatest}")
    return number


def choice(name, value, choices):
    """The number of a name; `choices` maps names to numbers."""
    if value not in choices:
        raise ArgumentError(f"{name}: {value!r} is none of {', '.join(choices)}")
    return choices[value]


def path(value):
    """A path as bytes; None, the embedded model, is empty."""
    if value is None:
        return b""
    name = os.fsencode(value)
    if not name:
        raise ArgumentError("path: an empty string names no file; None is the embedded model")
    return name


def text_bytes(name, value):
    """UTF-8 of a str, or bytes as they are."""
    if isinstance(value, str):
        return value.encode("utf-8")
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    raise TypeError(f"{name} must be a str, not {type(value).__name__}")


def is_text(value):
    return isinstance(value, (str, bytes, bytearray, memoryview))


def ids(name, value):
    """Token ids as bytes of int32.  Any iterable of ints will do, NumPy arrays too."""
    if is_text(value) or isinstance(value, Mapping):
        raise TypeError(f"{name} must be a sequence of token ids, not {type(value).__name__}")
    try:
        return array("i", value).tobytes()
    except OverflowError:
        raise ArgumentError(f"{name}: a token id is not in 0 .. {GREATEST_SIZE}") from None
    except TypeError as error:
        raise TypeError(f"{name} must be a sequence of token ids: {error}") from None


def id_list(data):
    """The ints in bytes of int32."""
    numbers = array("i")
    numbers.frombytes(data)
    return numbers.tolist()


def refuse_unknown(function, options, known):
    """Raise TypeError for keyword arguments that do not exist, naming the nearest one that does."""
    for name in options:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"; did you mean '{near[0]}'?" if near else ""
            raise TypeError(f"{function}() got an unexpected keyword argument '{name}'{hint}")


class Choices(NamedTuple):
    """GenerateOptions complete and checked."""
    native: tuple  # what the extension module takes
    seed: int
    n_logprobs: int  # alternatives to tell of each token; -1: no log-probabilities
    form: tuple[int, bytes] | None  # kind and text of a grammar
    parse: Callable[[str], object] | None  # from the answer's text to Generation.parsed


def form_of(forms):
    """Kind, text and parser of the form that was asked for."""
    if not forms:
        return None, None
    if len(forms) > 1:
        raise ArgumentError(f"{' and '.join(forms)} exclude each other")
    (name, value), = forms.items()
    parse = None
    if name == "json_schema":
        parse = json.loads
        if hasattr(value, "model_json_schema"):
            parse, value = value.model_validate_json, value.model_json_schema()
        if isinstance(value, (Mapping, bool)):
            value = json.dumps(value, ensure_ascii=False)
    return (FORMS[name], text_bytes(name, value)), parse


def generate_options(function, options):
    """Choices from keyword arguments.  Ranges of real numbers are checked by the library."""
    refuse_unknown(function, options, [*DEFAULTS, "greedy", *FORMS])
    forms = {name: options.pop(name) for name in FORMS if options.get(name, None) is not None}
    made = {**DEFAULTS, **{name: value for name, value in options.items() if name not in FORMS}}
    if made.pop("greedy", False):
        made["temperature"] = 0.0
    made["max_tokens"] = count("max_tokens", made["max_tokens"])
    made["top_k"] = count("top_k", made["top_k"])
    made["seed"] = secrets.randbits(53) if made["seed"] is None else count("seed", made["seed"], GREATEST_SEED)
    bias = made["logit_bias"]
    if not isinstance(bias, Mapping):
        raise TypeError(f"logit_bias must be a mapping of ids to numbers, not {type(bias).__name__}")
    made["logit_bias"] = {count("logit_bias", id): float(value) for id, value in bias.items()}
    stop = made["stop"]
    stop = (stop,) if isinstance(stop, str) else stop
    made["stop"] = tuple(text_bytes("stop", text) for text in stop or ())
    logprobs = made.pop("logprobs")
    n_logprobs = -1 if logprobs is None or logprobs is False else count("logprobs", logprobs, GREATEST_LOGPROBS)
    return Choices(tuple(made.values()), made["seed"], n_logprobs, *form_of(forms))
