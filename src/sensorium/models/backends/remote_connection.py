"""One connection of HTTP/1.1, which carries one request and its answer after the other."""

import asyncio
from collections.abc import Callable
from typing import cast

import httptools

MAX_HEAD = 64 << 10
MAX_UNREAD = 1 << 20
"""Bytes that wait to be taken; the server is read no further then."""
SLICE = 1 << 20


class BrokenError(Exception):
    """The connection ended within an answer, or before it."""


class MalformedError(Exception):
    """What came is not HTTP."""


class Connection(asyncio.Protocol):
    """Not to be used by two at once. Any waiting ends with `TimeoutError` at `until`, on the
    clock of the loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        """By names in lower case."""
        self.answered = True
        """Whether the answer has come to its end."""
        self.begun = False
        """Whether anything of the answer has come."""
        self.lost = False
        self.used_at = loop.time()
        self.on_answered: Callable[[], None] | None = None
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._malformed = False
        self._kept = True
        """Whether the server keeps it open after this answer."""
        self._headed = False
        self._head_size = 0
        self._begun_bytes = 0
        self._parts: list[bytes] = []
        self._unread = 0
        self._paused = False
        self._full = False
        self._waiter: asyncio.Future[None] | None = None

    @property
    def usable(self) -> bool:
        """Whether it can carry another request."""
        return self.answered and self._kept and not (self.lost or self._malformed)

    async def send(self, data: bytes, until: float) -> None:
        """Send a request, head and body.

        Raises:
            BrokenError: the connection is lost.
        """
        self.status, self.headers, self.answered, self.begun = 0, {}, False, False
        self._parser = httptools.HttpResponseParser(self)
        self._headed, self._head_size, self._begun_bytes = False, 0, 0
        self._parts, self._unread = [], 0
        transport = self._transport
        if transport is None or self.lost:
            raise BrokenError
        if len(data) <= SLICE:
            transport.write(data)
            return
        for at in range(0, len(data), SLICE):
            transport.write(data[at : at + SLICE])
            while self._full and not self.begun:
                await self._wait(until)

    async def head(self, until: float) -> None:
        """Wait for the status and the headers.

        Raises:
            BrokenError, MalformedError: they do not come.
        """
        while self._malformed or not self._headed:
            await self._wait(until)

    async def read(self, until: float) -> bytes:
        """What has come of the body meanwhile, at least a byte; none at its end. Errors as for
        `head`."""
        while not self._parts:
            if self.answered:
                return b""
            await self._wait(until)
        found = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._parts, self._unread = [], 0
        if self._paused and self._transport is not None and not self.lost:
            self._paused = False
            self._transport.resume_reading()
        return found

    def tunnelled(self, transport: asyncio.Transport) -> None:
        """Go on over another transport, which leads through this one's proxy."""
        self._transport, self._kept = transport, True

    def close(self) -> None:
        """Close it, whatever is under way."""
        self.on_answered = None
        self.lost = True
        if self._transport is not None:
            self._transport.abort()
        self._wake()

    @property
    def transport(self) -> asyncio.Transport | None:
        """What it runs over."""
        return self._transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's has another ancestry

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        if self.answered or self._malformed:  # nobody has asked for this
            self.close()
            return
        self.begun = True
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass
        except httptools.HttpParserError:
            self._malformed = True
        if not self._headed:  # perhaps a header that does not end
            self._begun_bytes += len(data)
            self._malformed = self._malformed or self._begun_bytes > 4 * MAX_HEAD
        self._wake()

    def eof_received(self) -> None:
        """See `asyncio.Protocol`; the connection is closed then."""

    def connection_lost(self, error: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        self.lost = True
        if self._headed and not self.answered and self._until_closed():
            self.on_message_complete()
        self._wake()

    def pause_writing(self) -> None:
        """See `asyncio.Protocol`."""
        self._full = True

    def resume_writing(self) -> None:
        """See `asyncio.Protocol`."""
        self._full = False
        self._wake()

    def on_header(self, name: bytes, value: bytes) -> None:
        """See `httptools.HttpResponseParser`, as of those below."""
        self._head_size += len(name) + len(value) + len(b": \r\n")
        if self._head_size > MAX_HEAD:
            self._malformed = True
        else:
            self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """The head is there."""
        status = self._parser.get_status_code()
        if status >= 200:
            self.status, self._headed = status, True
        else:  # it only says that an answer will come
            self.headers = {}

    def on_body(self, data: bytes) -> None:
        """A part of the body is there."""
        self._parts.append(data)
        self._unread += len(data)
        if self._unread > MAX_UNREAD and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()

    def on_message_complete(self) -> None:
        """All of it is there."""
        if self._headed:
            self.answered = True
            self._kept = self._parser.should_keep_alive()
            self.used_at = self._loop.time()
            if self.on_answered is not None:
                self.on_answered()

    def _until_closed(self) -> bool:
        return not {"content-length", "transfer-encoding"} & self.headers.keys()

    async def _wait(self, until: float) -> None:
        """Wait until something has happened."""
        if self._malformed:
            raise MalformedError
        if self.lost:
            raise BrokenError
        waiter = self._waiter = self._loop.create_future()
        timer = self._loop.call_at(until, _expire, waiter)
        try:
            await waiter
        finally:
            timer.cancel()
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def _expire(waiter: "asyncio.Future[None]") -> None:
    if not waiter.done():
        waiter.set_exception(TimeoutError())
