"""A stream of answers over HTTP, in the words of one protocol or another.

Nothing is sent before the first item has come, or a while has passed, so that an early error has
its own status. A later one ends the stream in the protocol's own words: it never just breaks off.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from typing import Protocol

from sensorium.core.dispatch import Answer
from sensorium.core.errors import SensoriumError
from sensorium.transports.http.exchange import ClientGoneError, Exchange
from sensorium.transports.http.problems import known

FIRST_WAIT_S = 0.5
"""How long the status line waits for the first item."""
KEEP_ALIVE_S = 15.0
SSE = b"text/event-stream"


class Speaker(Protocol):
    """How a protocol tells of a stream; each part is sent at once."""

    @property
    def media_type(self) -> bytes:
        """Of the response."""

    @property
    def keep_alive(self) -> bytes:
        """What says that the stream is still alive; empty where the protocol has no such thing."""

    def begin(self) -> Iterable[bytes]:
        """What comes before all items."""

    def item(self, answer: Answer) -> Iterable[bytes]:
        """What an item is."""

    def end(self) -> Iterable[bytes]:
        """What comes after all items."""

    def fail(self, error: SensoriumError) -> Iterable[bytes]:
        """What an error is that ends the stream."""


async def speak(exchange: Exchange, items: AsyncGenerator[Answer, None], speaker: Speaker) -> None:
    """Answer with the items as they come.

    Raises:
        SensoriumError: nothing has been sent yet; or nobody is there any more.
    """
    try:
        with exchange.while_connected():
            async with aclosing(items):
                await _Speech(exchange, speaker).say(items)
    except ClientGoneError:
        raise
    except Exception as error:
        if not exchange.started:
            raise
        await exchange.write(b"".join(speaker.fail(known(error))), more=False)


def event(data: bytes, name: str = "") -> bytes:
    """A server-sent event; the data are one line."""
    head = f"event: {name}\n".encode() if name else b""
    return head + b"data: " + data + b"\n\n"


class _Speech:
    """The answer as it is sent, by whoever has something to say: an item, or that there is none."""

    def __init__(self, exchange: Exchange, speaker: Speaker) -> None:
        self._exchange = exchange
        self._speaker = speaker
        self._turn = asyncio.Lock()
        self._spoke_at = 0.0

    async def say(self, items: AsyncGenerator[Answer, None]) -> None:
        """Send the items; one task waits for all of them, and another for the time to pass."""
        keeping = asyncio.create_task(self._keep_alive())
        try:
            async for answer in items:
                async with self._turn:
                    await self._begin()
                    for part in self._speaker.item(answer):
                        await self._exchange.write(part, more=True)
        finally:
            try:
                async with self._turn:  # what is being sent is sent to its end
                    pass
            finally:
                keeping.cancel()
        await self._begin()
        await self._exchange.write(b"".join(self._speaker.end()), more=False)

    async def _keep_alive(self) -> None:
        """Begin the response, and say now and then that it still goes on."""
        await asyncio.sleep(FIRST_WAIT_S)
        async with self._turn:
            await self._begin()
        while self._speaker.keep_alive:
            silent_s = time.monotonic() - self._spoke_at
            if silent_s < KEEP_ALIVE_S:
                await asyncio.sleep(KEEP_ALIVE_S - silent_s)
                continue
            async with self._turn:
                await self._exchange.write(self._speaker.keep_alive, more=True)
                self._spoke_at = time.monotonic()

    async def _begin(self) -> None:
        """Whatever is said, the head comes before it."""
        self._spoke_at = time.monotonic()
        if self._exchange.started:
            return
        headers = [(b"content-type", self._speaker.media_type), (b"cache-control", b"no-store")]
        await self._exchange.start(200, headers)
        for part in self._speaker.begin():
            await self._exchange.write(part, more=True)
