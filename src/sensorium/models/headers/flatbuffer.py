"""Walks the tables of a flatbuffer in a file; each offset is checked before it is followed.

A table begins with how far back its vtable lies; the vtable tells the size of both, then where
each field is inside the table, 0 for one that is not there. Offsets to other things point
forward, from where they stand.
"""

from collections.abc import Iterator
from struct import Struct

from sensorium.core.errors import InvalidInputError
from sensorium.models.headers.header import decoded
from sensorium.models.headers.source import I32, U16, U32, Source

MAX_WORK = 2_000_000
"""Numbers read from one file; offsets can lead to the same ones many times."""
TABLE_WORK = 8
"""A table costs as much as so many numbers."""
MAX_FIELDS = 32
"""Of a table; no schema that is read has more."""


class Flatbuffer:
    """The tables of one file."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self._left = MAX_WORK

    def root(self, identifier: bytes) -> "Table":
        """The table that all others hang from.

        Raises:
            InvalidInputError: it is no such flatbuffer.
        """
        if self.source.size < 8 or self.source.read(4, 4) != identifier:
            raise InvalidInputError(f"it has not {identifier.decode()} at byte 4")
        return self.table(self.follow(0))

    def follow(self, at: int) -> int:
        """Where the offset at a position leads.

        Raises:
            InvalidInputError: out of the file, or nowhere.
        """
        offset = self.source.number(U32, at)
        if not offset or offset & 3 != -at & 3 or offset > self.source.size - at:
            raise InvalidInputError(f"the offset at byte {at} leads to {offset} bytes further on")
        return at + offset

    def table(self, at: int) -> "Table":
        """The table at a position.

        Raises:
            InvalidInputError: there is none.
        """
        self.spend(TABLE_WORK)
        vtable = at - self.source.number(I32, at)
        if vtable & 1:
            raise InvalidInputError(f"the vtable of the table at byte {at} is not aligned")
        length, size = self.source.number(U16, vtable), self.source.number(U16, vtable + 2)
        if length < 4 or length & 1 or size < 4:
            raise InvalidInputError(f"the vtable at byte {vtable} has {length} bytes")
        self.source.check(at, size)
        self.source.check(vtable, length)
        fields = self.source.read(vtable + 4, min(length - 4, 2 * MAX_FIELDS))
        return Table(self, at, size, fields)

    def spend(self, work: int) -> None:
        """Count what is read.

        Raises:
            InvalidInputError: it is more than any model needs.
        """
        self._left -= work
        if self._left < 0:
            raise InvalidInputError("its tables are more than those of any model")


class Table:
    """A table; its fields are called by their places in the schema, from 0 on."""

    def __init__(self, buffer: Flatbuffer, at: int, size: int, fields: bytes) -> None:
        self.at = at
        self._buffer = buffer
        self._size = size
        self._fields = fields

    def number(self, field: int, layout: Struct, unsaid: int = 0) -> int:
        """A number in the table itself."""
        at = self._place(field, layout.size)
        return unsaid if at is None else self._buffer.source.number(layout, at)

    def table(self, field: int) -> "Table | None":
        """The table that a field leads to."""
        at = self._place(field, U32.size)
        return None if at is None else self._buffer.table(self._buffer.follow(at))

    def span(self, field: int, item_bytes: int, most: int) -> tuple[int, int]:
        """Where the items of a vector begin, and how many there are.

        Raises:
            InvalidInputError: they are more than `most`, or go beyond the end of the file.
        """
        at = self._place(field, U32.size)
        if at is None:
            return 0, 0
        start = self._buffer.follow(at)
        count = self._buffer.source.number(U32, start)
        if count > most:
            raise InvalidInputError(f"the vector at byte {start} has {count} items")
        self._buffer.source.check(start + U32.size, count * item_bytes)
        return start + U32.size, count

    def numbers(self, field: int, layout: Struct, most: int) -> list[int]:
        """The numbers of a vector."""
        start, count = self.span(field, layout.size, most)
        self._buffer.spend(count)
        data = self._buffer.source.read(start, count * layout.size) if count else b""
        return [each[0] for each in layout.iter_unpack(data)]

    def text(self, field: int, most: int) -> str:
        """The string that a field leads to, empty where it is not there."""
        start, count = self.span(field, 1, most)
        self._buffer.spend(count // TABLE_WORK)
        return decoded(self._buffer.source.read(start, count), "a string") if count else ""

    def tables(self, field: int, most: int) -> Iterator["Table"]:
        """The tables of a vector."""
        start, count = self.span(field, U32.size, most)
        for at in range(start, start + count * U32.size, U32.size):
            yield self._buffer.table(self._buffer.follow(at))

    def _place(self, field: int, size: int) -> int | None:
        """Where a field is; None where it is not there."""
        if 2 * field + 2 > len(self._fields):
            return None
        offset = int.from_bytes(self._fields[2 * field : 2 * field + 2], "little")
        if not offset:
            return None
        if offset < 4 or offset + size > self._size:
            raise InvalidInputError(
                f"a field at {offset} is not inside the table of {self._size} bytes"
            )
        return self.at + offset
