"""Walks protobuf messages in a file field by field, without building them."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from sensorium.core.errors import InvalidInputError
from sensorium.models.headers.source import Source

CHUNK = 1 << 13
MAX_FIELDS = 3_000_000
"""In one file: a graph of 100,000 nodes has about as many, an ordinary one has 1,000 nodes."""
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_KINDS = (VARINT, FIXED64, BYTES, FIXED32)
_FIXED = {FIXED64: 8, FIXED32: 4}
_LONGEST_HEAD = 20
"""Bytes of a field's key and length, or value: two varints."""
_SIGN = 1 << 63


class Field(NamedTuple):
    """A field of a message."""

    number: int
    kind: int
    """How it is written."""
    value: int
    """Its number where it is a varint, else where its bytes begin."""
    end: int
    """Where its bytes end."""

    @property
    def signed(self) -> int:
        """A varint that may be below zero."""
        return self.value - (1 << 64) if self.value & _SIGN else self.value

    @property
    def size(self) -> int:
        """How many bytes it has."""
        return self.end - self.value


class Wire:
    """The messages of one file."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self._left = MAX_FIELDS

    def fields(
        self, start: int, end: int, passing: re.Pattern[bytes] | None = None
    ) -> Iterator[Field]:
        """The fields of the message that lies there.

        `passing` matches runs of whole fields that nobody asks for, which are passed over.

        Raises:
            InvalidInputError: it is no message, or the file has more fields than any model.
        """
        self.source.check(start, end - start)
        data, base, at, enough = b"", start, start, start - 1
        while at < end:
            if at > enough:
                data, base = self.source.read(at, min(CHUNK, end - at)), at
                enough = end if base + len(data) == end else base + len(data) - _LONGEST_HEAD
            self._left -= 1
            if self._left < 0:
                raise InvalidInputError(f"it has more than {MAX_FIELDS} protobuf fields")
            inside = at - base
            if passing is not None and (run := passing.match(data, inside)):
                at = base + run.end()
                continue
            number, kind, inside = _key(data, inside)
            if kind in _FIXED:
                at, length = base + inside, _FIXED[kind]
            else:
                length, inside = varint(data, inside)
                at = base + inside
                if kind == VARINT:
                    yield Field(number, kind, length, at)
                    continue
            if length > end - at:
                raise InvalidInputError(
                    f"a protobuf field of {length} bytes is in a message with {end - at} left"
                )
            yield Field(number, kind, at, at + length)
            at += length

    def bytes_of(self, field: Field, most: int, what: str) -> bytes:
        """The bytes of a field.

        Raises:
            InvalidInputError: it has none, or too many.
        """
        expect(field, BYTES, what)
        if field.size > most:
            raise InvalidInputError(f"{what} of {field.size} bytes is longer than {most}")
        return self.source.read(field.value, field.size)

    def numbers(self, field: Field, most: int, what: str) -> list[int]:
        """The varints of a repeated field, of which one stands alone or several together.

        Raises:
            InvalidInputError: it has other values, or too many.
        """
        if field.kind == VARINT:
            return [field.signed]
        data, at = self.bytes_of(field, 10 * most, what), 0
        found = []
        while at < len(data):
            value, at = varint(data, at)
            found.append(value - (1 << 64) if value & _SIGN else value)
        if len(found) > most:
            raise InvalidInputError(f"{what}: {len(found)} are more than {most}")
        return found


def expect(field: Field, kind: int, what: str) -> None:
    """That a field is written as it should be.

    Raises:
        InvalidInputError: it is not.
    """
    if field.kind != kind:
        raise InvalidInputError(f"{what} has the protobuf wire type {field.kind}, not {kind}")


def _key(data: bytes, at: int) -> tuple[int, int, int]:
    """A field's number, how it is written, and where its key ends."""
    key, end = (data[at], at + 1) if data[at] < 0x80 else varint(data, at)
    number, kind = key >> 3, key & 7
    if kind not in _KINDS or not 0 < number < 1 << 29:
        raise InvalidInputError(f"{number} with the wire type {kind} is no protobuf field")
    return number, kind, end


def varint(data: bytes, at: int) -> tuple[int, int]:
    """The number at a position of some bytes, and where it ends.

    Raises:
        InvalidInputError: the bytes end within, or it is longer than 64 bits.
    """
    if at < len(data) and data[at] < 0x80:
        return data[at], at + 1
    value = 0
    for shift, byte in enumerate(data[at : at + 10]):
        value |= (byte & 0x7F) << 7 * shift
        if byte < 0x80:
            if value >> 64:
                break
            return value, at + shift + 1
    raise InvalidInputError("a protobuf number goes beyond its message, or beyond 64 bits")
