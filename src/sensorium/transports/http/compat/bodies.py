"""Requests' bodies: gathered under a bound, and read where that holds nobody up."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import msgspec

from sensorium.core.codec import explained
from sensorium.core.errors import OverloadedError, PayloadTooLargeError
from sensorium.core.loading import load
from sensorium.transports.http.exchange import Exchange

T = TypeVar("T")
MAX_BODY_BYTES = 64 << 20
"""More than any conversation has; what is larger would be read for too long."""
SMALL = 1 << 20
"""What is larger is read on a thread."""
ALL_TOGETHER = 8
"""Times the most that one may have: so much is held of all that are still coming."""


class Bodies:
    """Gathers and reads bodies; all that are held together are bounded, too."""

    def __init__(self, max_bytes: int) -> None:
        self._max = min(max_bytes, MAX_BODY_BYTES)
        self._max_pending = ALL_TOGETHER * self._max
        self._pending = 0

    async def read(self, exchange: Exchange, read: Callable[[bytes], T]) -> T:
        """What `read` makes of a body.

        Raises:
            PayloadTooLargeError: it is too large.
            OverloadedError: with the bodies held already it would be too much.
            InvalidInputError: it is not JSON, or not of the protocol; `details.at` says where.
        """
        payload = await exchange.payload()
        encoding = payload.content_encoding
        if encoding == "identity":
            encoding = ""
        async with self._gathered(payload.body, payload.size or 0) as pieces:

            def whole() -> T:
                body = b"".join(pieces)
                if encoding:
                    body = load("sensorium.core.compression:decompress")(body, encoding, self._max)
                try:
                    return read(body)
                except (
                    msgspec.MsgspecError,
                    UnicodeDecodeError,
                    RecursionError,
                    OverflowError,
                ) as error:
                    raise explained(error) from None

            size = sum(len(piece) for piece in pieces)
            return whole() if size <= SMALL and not encoding else await asyncio.to_thread(whole)

    @asynccontextmanager
    async def _gathered(
        self, body: bytes | bytearray | AsyncIterator[bytes], announced: int
    ) -> AsyncIterator[list[bytes | bytearray]]:
        self._check(announced)
        if isinstance(body, bytes | bytearray):
            yield [body]
            return
        pieces: list[bytes | bytearray] = []
        size = 0
        try:
            async for piece in body:
                if self._pending + len(piece) > self._max_pending:
                    raise OverloadedError(
                        "the server holds as many request bodies as it may", retry_after_s=1.0
                    )
                pieces.append(piece)
                size += len(piece)
                self._pending += len(piece)
                self._check(size)
            yield pieces
        finally:
            self._pending -= size

    def _check(self, size: int) -> None:
        if size > self._max:
            raise PayloadTooLargeError(
                f"a body may have at most {self._max} bytes here", details={"limit": self._max}
            )
