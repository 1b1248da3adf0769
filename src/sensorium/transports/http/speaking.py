"""A stream of answers over HTTP, in the words of one protocol or another.

Nothing is sent before the first item has come, or a while has passed, so that an early error has
its own status. A later one ends the stream in the protocol's own words: it never just breaks off.
"""

import asyncio
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
                await _speak(exchange, items, speaker)
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


async def _speak(exchange: Exchange, items: AsyncGenerator[Answer, None], speaker: Speaker) -> None:
    upcoming: asyncio.Task[Answer | None] | None = None
    try:
        while True:
            upcoming = asyncio.create_task(_following(items))
            await _wait(exchange, upcoming, speaker)
            answer = upcoming.result()
            if not exchange.started:
                await _begin(exchange, speaker)
            if answer is None:
                break
            for part in speaker.item(answer):
                await exchange.write(part, more=True)
    finally:
        if upcoming is not None and not upcoming.done():
            upcoming.cancel()
            await asyncio.gather(upcoming, return_exceptions=True)
    await exchange.write(b"".join(speaker.end()), more=False)


async def _wait(
    exchange: Exchange, upcoming: "asyncio.Task[Answer | None]", speaker: Speaker
) -> None:
    """Wait for an item; meanwhile, begin the response and keep the connection alive."""
    if not exchange.started:
        await asyncio.wait({upcoming}, timeout=FIRST_WAIT_S)
        if upcoming.done():
            return
        await _begin(exchange, speaker)
    while not upcoming.done():
        await asyncio.wait({upcoming}, timeout=KEEP_ALIVE_S)
        if not upcoming.done() and speaker.keep_alive:
            await exchange.write(speaker.keep_alive, more=True)


async def _begin(exchange: Exchange, speaker: Speaker) -> None:
    headers = [(b"content-type", speaker.media_type), (b"cache-control", b"no-store")]
    await exchange.start(200, headers)
    for part in speaker.begin():
        await exchange.write(part, more=True)


async def _following(items: AsyncGenerator[Answer, None]) -> Answer | None:
    return await anext(items, None)
