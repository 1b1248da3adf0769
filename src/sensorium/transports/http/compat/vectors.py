"""Vectors of `text.embed` as JSON, a row at a time: many would hold up the server as one piece."""

import asyncio
import struct
from base64 import b64encode

import msgspec
from msgspec import Struct

MANY = 1 << 20
"""So many bytes are turned into text by a thread."""


class Vectors(Struct):
    """What is read of the answer of `text.embed`, asked for `raw`."""

    data: bytes
    dimensions: int
    model: str = ""
    tokens: int = 0

    async def rows(self, *, as_base64: bool = False) -> list[msgspec.Raw]:
        """The vectors, each a JSON list of numbers, or a JSON text of float32 in base64."""
        make = self._texts if as_base64 else self._lists
        return make() if len(self.data) < MANY else await asyncio.to_thread(make)

    def _lists(self) -> list[msgspec.Raw]:
        row = struct.Struct(f"<{self.dimensions}f")
        return [msgspec.Raw(msgspec.json.encode(each)) for each in row.iter_unpack(self.data)]

    def _texts(self) -> list[msgspec.Raw]:
        row = struct.Struct(f"{4 * self.dimensions}s")
        return [msgspec.Raw(b'"%b"' % b64encode(each)) for (each,) in row.iter_unpack(self.data)]
