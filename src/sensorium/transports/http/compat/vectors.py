"""Vectors of `text.embed` as JSON, a row at a time: many would hold up the server as one piece."""

import asyncio
import struct

import msgspec
from msgspec import Struct

MANY = 1 << 20
"""So many bytes are turned into text by a thread."""


class Vectors(Struct):
    """What is read of the answer of `text.embed`, asked for `raw`."""

    data: bytes
    dimensions: int
    tokens: int = 0

    async def rows(self) -> list[msgspec.Raw]:
        """The vectors, each a JSON list of numbers."""
        if len(self.data) < MANY:
            return self._rows()
        return await asyncio.to_thread(self._rows)

    def _rows(self) -> list[msgspec.Raw]:
        row = struct.Struct(f"<{self.dimensions}f")
        return [msgspec.Raw(msgspec.json.encode(each)) for each in row.iter_unpack(self.data)]
