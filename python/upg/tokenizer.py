"""Text to token ids and back."""
from __future__ import annotations

import json
import os
from typing import Mapping, Sequence

from . import _convert, _native

ROLES_HELP = "a message is a dict with 'role' and 'content'"


class Tokenizer:
    """A tokenizer: immutable, safe to use from all threads.  A model has one as `model.tokenizer`."""

    def __init__(self, native):
        self._native = native
        self._n_ids = native.n_ids()

    @classmethod
    def open(cls, path: str | os.PathLike | None = None) -> Tokenizer:
        """The tokenizer of a .upg file, a GGUF file, a Hugging Face directory or one that holds only tokenizer.json.
        None: that of the embedded model."""
        return cls(_native.Tokenizer(_convert.path(path)))

    def __len__(self) -> int:
        """1 + the greatest id."""
        return self._n_ids

    def encode(self, text: str, *, parse_special: bool = False) -> list[int]:
        """The ids of a text.  With parse_special, the names of special tokens in it become these tokens; otherwise all
        of it is plain text.  Nothing is put in front or behind."""
        return _convert.id_list(self._native.encode(_convert.text_bytes("text", text), bool(parse_special)))

    def token_bytes(self, id: int) -> bytes:
        """The bytes of one token, maybe part of a character; empty for ids without a token."""
        return self._native.token(_convert.count("id", id), False)

    def decode(self, ids: Sequence[int], *, skip_special: bool = True) -> str:
        """The text of ids.  What is not UTF-8 comes out as U+FFFD."""
        numbers = _convert.id_list(_convert.ids("ids", ids))
        return b"".join(self._native.token(id, bool(skip_special)) for id in numbers).decode("utf-8", "replace")

    def render_chat(self, messages: str | Sequence[Mapping], *, add_generation_prompt: bool = True,
                    ) -> tuple[str, list[int]]:
        """Text and ids of a conversation in the model's chat template.

        messages: a str (one question of a user), or dicts with `role` ("system", "user", "assistant", "tool"),
        `content` and perhaps `tools` (a list, or its JSON).  Only the template's own words become control tokens.
        """
        ids, text = self._native.render(tuple(map(message_bytes, message_list(messages))), bool(add_generation_prompt))
        return text.decode("utf-8", "replace"), _convert.id_list(ids)


def message_list(messages):
    """A conversation as a list of mappings."""
    if isinstance(messages, str):
        return [{"role": "user", "content": messages}]
    if isinstance(messages, Mapping):
        raise TypeError("messages must be a list of dicts, not one dict")
    return list(messages)


def message_bytes(message):
    """A mapping as the extension module's tuple of role, content, tools."""
    if not isinstance(message, Mapping) or "role" not in message or "content" not in message:
        raise TypeError(f"{ROLES_HELP}; this is {message!r:.80}")
    unknown = set(message) - {"role", "content", "tools"}
    if unknown:
        raise TypeError(f"{ROLES_HELP}; it cannot have {', '.join(map(repr, unknown))}")
    tools = message.get("tools")
    if tools is not None and not isinstance(tools, str):
        tools = json.dumps(tools, ensure_ascii=False)
    return (_convert.text_bytes("role", message["role"]), _convert.text_bytes("content", message["content"]),
            None if tools is None else _convert.text_bytes("tools", tools))
