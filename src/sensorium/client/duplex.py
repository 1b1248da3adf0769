"""One HTTP exchange whose request and response bodies flow at the same time.

httpx sends a whole request before it reads of the response, so a stream that is listened to while
it is fed has a connection of its own here: asyncio moves the bytes, h11 knows the protocol.
"""

import asyncio
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple
from urllib.parse import urlsplit

import h11

CONNECT_S = 5.0
CLOSE_S = 1.0
PULSE_S = 10.0
"""After so long without an item an empty line is sent, or the server would take us for gone."""
SILENCE_S = 60.0
"""Servers send an empty line at least every 15 s."""
CHUNK = 64 << 10


class ConnectingError(Exception):
    """There was no connection, so nothing was sent."""


class Reply(NamedTuple):
    """The beginning of a response, and its body as it comes."""

    status: int
    headers: dict[str, str]
    body: AsyncGenerator[bytes, None]


@asynccontextmanager
async def converse(
    url: str, headers: Mapping[str, str], lines: AsyncIterator[bytes], tls: ssl.SSLContext | None
) -> AsyncGenerator[Reply, None]:
    """POST `lines` to an address, and read the reply meanwhile.

    Raises:
        ConnectingError: there is nobody at that address.
        OSError, h11.RemoteProtocolError: the connection was lost, or the server fell silent.
        Exception: whatever `lines` raised, in place of the next piece of the reply.
    """
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    port = parts.port or (443 if secure else 80)
    try:
        async with asyncio.timeout(CONNECT_S):
            reader, writer = await asyncio.open_connection(
                parts.hostname, port, ssl=tls if secure else None
            )
    except OSError as error:
        raise ConnectingError(error.strerror or str(error)) from error
    exchange = _Exchange(reader, writer)
    feeder = None
    try:
        await exchange.begin(f"{parts.path}?{parts.query}".rstrip("?"), parts.netloc, headers)
        feeder = asyncio.create_task(exchange.feed(lines))
        yield await exchange.reply(feeder)
    finally:
        if feeder is not None:
            feeder.cancel()
            await asyncio.gather(feeder, return_exceptions=True)
        writer.close()
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                await writer.wait_closed()


class _Exchange:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._http = h11.Connection(our_role=h11.CLIENT)

    async def begin(self, target: str, netloc: str, headers: Mapping[str, str]) -> None:
        usual = {
            "host": netloc.rpartition("@")[2],
            "transfer-encoding": "chunked",
            "connection": "close",
        }
        head = [*usual.items(), *headers.items()]
        await self._send(h11.Request(method="POST", target=target, headers=head))

    async def feed(self, lines: AsyncIterator[bytes]) -> None:
        upcoming: asyncio.Future[bytes | None] | None = None
        try:
            while True:
                upcoming = upcoming or asyncio.ensure_future(_following(lines))
                await asyncio.wait({upcoming}, timeout=PULSE_S)
                if not upcoming.done():
                    await self._send(h11.Data(data=b"\n"))
                    continue
                line, upcoming = upcoming.result(), None
                if line is None:
                    await self._send(h11.EndOfMessage())
                    return
                await self._send(h11.Data(data=line))
        finally:
            if upcoming is not None and not upcoming.done():
                upcoming.cancel()
                await asyncio.gather(upcoming, return_exceptions=True)

    async def reply(self, feeder: "asyncio.Task[None]") -> Reply:
        event = await self._event(feeder)
        while isinstance(event, h11.InformationalResponse):
            event = await self._event(feeder)
        if not isinstance(event, h11.Response):
            raise h11.RemoteProtocolError("the server closed the connection")
        found = {name.decode("ascii"): value.decode("latin-1") for name, value in event.headers}
        return Reply(event.status_code, found, self._body(feeder))

    async def _body(self, feeder: "asyncio.Task[None]") -> AsyncGenerator[bytes, None]:
        while isinstance(event := await self._event(feeder), h11.Data):
            yield bytes(event.data)

    async def _event(self, feeder: "asyncio.Task[None]") -> object:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            self._http.receive_data(await self._read(feeder))
        return event

    async def _read(self, feeder: "asyncio.Task[None]") -> bytes:
        """The next bytes, unless the feeder fails first: for a reason of the caller's own."""
        reading = asyncio.ensure_future(self._reader.read(CHUNK))
        watched: set[asyncio.Future[bytes] | asyncio.Task[None]] = {reading, feeder}
        try:
            while not reading.done():
                done, _ = await asyncio.wait(
                    watched, timeout=SILENCE_S, return_when=asyncio.FIRST_COMPLETED
                )
                if not done:
                    raise TimeoutError
                if feeder in done:  # it may have failed between two reads, too
                    _raise_own_failure(feeder)
                    watched.discard(feeder)
            return reading.result()
        finally:
            reading.cancel()

    async def _send(self, event: h11.Event) -> None:
        data = self._http.send(event)
        if data:
            self._writer.write(data)
            await self._writer.drain()


def _raise_own_failure(feeder: "asyncio.Task[None]") -> None:
    """A broken connection is the reader's to notice: there may be an answer in it still."""
    error = feeder.exception()
    if error is not None and not isinstance(error, OSError | h11.ProtocolError):
        raise error


async def _following(lines: AsyncIterator[bytes]) -> bytes | None:
    return await anext(lines, None)
