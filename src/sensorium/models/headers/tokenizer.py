"""Tokenizers of the library `tokenizers`: one file of JSON, `tokenizer.json`."""

from typing import Any

import msgspec
from msgspec import Struct

from sensorium.core.errors import InvalidInputError
from sensorium.models.headers.header import MAX_TEXT, Header, parsed
from sensorium.models.headers.source import Source

MAX_BYTES = 1 << 27
"""A vocabulary of 250,000 tokens takes 20 MB."""


class _Model(Struct):
    type: str | None = None
    vocab: msgspec.Raw = msgspec.Raw(b"")


class _Tokenizer(Struct):
    model: _Model
    added_tokens: list[Any] = []


def read(source: Source) -> Header:
    """The header of a tokenizer.

    Raises:
        InvalidInputError: it is malformed.
    """
    if source.size > MAX_BYTES:
        raise InvalidInputError(f"it is longer than {MAX_BYTES} bytes")
    found = parsed(source.read(0, source.size), _Tokenizer, "it")
    if not bytes(found.model.vocab):
        raise InvalidInputError("it has no vocabulary")
    return Header(
        format="tokenizer",
        architecture=(found.model.type or "")[:MAX_TEXT],
        file_bytes=source.size,
        details={"added_tokens": str(len(found.added_tokens))},
    )
