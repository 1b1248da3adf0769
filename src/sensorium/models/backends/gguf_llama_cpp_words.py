"""Tokens and text of a model that llama-cpp-python has loaded."""

import ctypes
from collections.abc import Sequence
from typing import Any

import llama_cpp

from sensorium.core.errors import InvalidInputError
from sensorium.core.generation import Generation
from sensorium.models.backends.templated import templated
from sensorium.models.templates.rendering import ChatTemplate

ROOM = 64
"""Bytes that nearly every token fits into."""


class Words:
    """What a model reads and writes."""

    def __init__(self, llama: Any) -> None:
        self._llama = llama
        self._vocabulary = llama_cpp.llama_model_get_vocab(llama.model)
        self._size = llama_cpp.llama_vocab_n_tokens(self._vocabulary)
        self._known: dict[tuple[int, bool], bytes] = {}
        self._bos = self._special(llama_cpp.llama_vocab_bos(self._vocabulary))
        self._eos = self._special(llama_cpp.llama_vocab_eos(self._vocabulary))
        source = llama.metadata.get("tokenizer.chat_template")
        self._template = (
            ChatTemplate(source, bos_token=self._bos, eos_token=self._eos) if source else None
        )

    def tokens(self, text: str, *, begin: bool) -> list[int]:
        """A text's tokens; `begin` adds those that the model wants around a text."""
        data = text.encode("utf-8", errors="replace")
        return list(self._llama.tokenize(data, add_bos=begin, special=True))

    def text(self, tokens: Sequence[int], *, marks: bool = False) -> str:
        """The text of tokens; `marks` shows those that only mark its parts, too.

        Raises:
            InvalidInputError: a number is no token's.
        """
        return b"".join(self._bytes(each, marks) for each in tokens).decode(errors="replace")

    def ends(self, token: int) -> bool:
        """Whether a token ends a text."""
        return bool(llama_cpp.llama_vocab_is_eog(self._vocabulary, token))

    def prompt(self, task: Generation) -> list[int]:
        """The tokens to go on with.

        Raises:
            InvalidInputError: the model's template cannot turn these messages into a text.
        """
        text = templated(self._template, task) if task.messages else task.prompt
        begin = not (self._bos and text.startswith(self._bos))
        return self.tokens(text, begin=begin) or [self._first()]

    def _first(self) -> int:
        """The token that begins a text, or, where there is none, the one that ends it."""
        begins = llama_cpp.llama_vocab_bos(self._vocabulary)
        return int(begins if begins >= 0 else llama_cpp.llama_vocab_eos(self._vocabulary))

    def _special(self, token: int) -> str:
        """The text of a token; none of one that the model has not."""
        return self.text([token], marks=True) if token >= 0 else ""

    def _bytes(self, token: int, marks: bool) -> bytes:
        found = self._known.get((token, marks))
        if found is None:
            if not 0 <= token < self._size:
                raise InvalidInputError(f"tokens are numbers from 0 to {self._size - 1}")
            found = self._known[token, marks] = self._spelled(token, marks, ROOM)
        return found

    def _spelled(self, token: int, marks: bool, room: int) -> bytes:
        buffer = ctypes.create_string_buffer(room)
        size = llama_cpp.llama_token_to_piece(self._vocabulary, token, buffer, room, 0, marks)
        return self._spelled(token, marks, -size) if size < 0 else buffer.raw[:size]
