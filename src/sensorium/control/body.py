"""Bodies on their way to where they are decoded: gathered in pieces, never joined on the loop."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from sensorium.core.dispatch import Encoded
from sensorium.core.errors import OverloadedError, PayloadTooLargeError


class Body:
    """A complete request body, still undecoded."""

    __slots__ = ("_source", "pieces", "size")

    def __init__(self, source: Encoded, pieces: list[bytes | bytearray], size: int) -> None:
        self.pieces = pieces
        self.size = size
        self._source = source

    def whole(self) -> Encoded:
        """The payload with its body in one piece; copies, so call it off the loop if it is big."""
        joined = self.pieces[0] if len(self.pieces) == 1 else b"".join(self.pieces)
        return replace(self._source, body=joined, size=self.size)

    @property
    def source(self) -> Encoded:
        """The payload's other properties."""
        return self._source


class Bodies:
    """Gathers bodies under a bound for each and one for all together.

    A body is complete before it takes a slot, so a slow sender holds memory and nothing else.
    """

    def __init__(self, max_pending_bytes: int) -> None:
        self._max_pending = max_pending_bytes
        self.pending = 0

    @asynccontextmanager
    async def gather(self, payload: Encoded, limit: int) -> AsyncIterator[Body]:
        """The whole body of a payload.

        Raises:
            PayloadTooLargeError: it is, or says that it is, larger than `limit`.
            OverloadedError: with the bodies held already it would be too much.
        """
        if payload.size is not None:
            check_size(payload.size, limit)
        body = Body(payload, [], 0)
        try:
            if isinstance(payload.body, bytes | bytearray):
                self._take(body, payload.body, limit)
            else:
                async for piece in payload.body:
                    self._take(body, piece, limit)
            yield body
        finally:
            self.pending -= body.size

    def _take(self, body: Body, piece: bytes | bytearray, limit: int) -> None:
        if not piece:
            return
        if self.pending + len(piece) > self._max_pending:
            raise OverloadedError(
                "the server holds as many request bodies as it may", retry_after_s=1.0
            )
        body.pieces.append(piece)
        body.size += len(piece)
        self.pending += len(piece)
        check_size(body.size, limit)


def check_size(size: int, limit: int) -> None:
    """Raise `PayloadTooLargeError` for a body over the limit."""
    if size > limit:
        raise PayloadTooLargeError(
            f"a body may have at most {limit} bytes here", details={"limit": limit}
        )
