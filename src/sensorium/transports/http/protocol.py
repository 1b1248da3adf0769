"""uvicorn's HTTP/1.1 protocol, with limits on how long a request's head may take and be."""

import asyncio
import os
from typing import Any, ClassVar, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from sensorium.core.errors import OverloadedError
from sensorium.transports.http.exchange import Headers, Receive, Scope, Send
from sensorium.transports.http.problems import MEDIA_TYPE, problem
from sensorium.transports.http.unread import Unread

MAX_HEAD = 64 << 10
"""The most bytes that a request line and its headers may have."""


def refusal() -> tuple[int, Headers, bytes]:
    """What a connection too many is answered."""
    error = OverloadedError("the server has as many connections as it may", retry_after_s=1.0)
    status, headers, body = problem(error, os.urandom(8).hex())
    length = str(len(body)).encode()
    headers += [
        (b"content-type", MEDIA_TYPE),
        (b"content-length", length),
        (b"connection", b"close"),
    ]
    return status, headers, body


async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
    """The application that answers a connection too many (ASGI)."""
    status, headers, body = refusal()
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class _Response:
    """What one response is written to: its head goes out together with what follows at once.

    Every write is a system call, and wakes a client that can do nothing with a head alone. One
    that nothing follows in the same round of the event loop is of a stream, and waits no longer.
    """

    __slots__ = ("_begun", "_head", "_loop", "_transport")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._head = b""
        self._begun = False

    def write(self, data: bytes) -> None:
        """See asyncio.WriteTransport."""
        if self._head:
            self._transport.writelines([self._head, data])
            self._head = b""
        elif self._begun:
            self._transport.write(data)
        else:
            self._begun = True
            self._head = data
            self._loop.call_soon(self._flush)

    def close(self) -> None:
        """See asyncio.BaseTransport."""
        self._flush()
        self._transport.close()

    def is_closing(self) -> bool:
        """See asyncio.BaseTransport."""
        return self._transport.is_closing()

    def _flush(self) -> None:
        if self._head and not self._transport.is_closing():
            self._transport.write(self._head)
        self._head = b""


class GuardedProtocol(Unread, HttpToolsProtocol):
    """Closes a connection whose request line and headers are not there in time, or too long.

    Without it, a client that sends a byte now and then holds its connection for ever, and one
    whose headers do not end fills the memory.
    """

    max_connections: ClassVar[int] = 1_000
    """More than so many are refused what they ask for, WebSockets included."""

    linger_s: ClassVar[float] = 0.0
    """How long an idle connection may still be used when the server leaves: where another takes
    over, a request that is on its way is answered, and its connection closed after that."""

    _guard: asyncio.TimerHandle | None = None
    _lingering = False
    _head_pending = False
    _head_size = 0
    _unparsed = 0

    def connection_made(self, transport: Any) -> None:
        """See asyncio.Protocol."""
        super().connection_made(transport)
        self._guard = self.loop.call_later(self.timeout_s, self.transport.close)

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        super().data_received(data)
        if not self._head_pending:
            return
        if self._guard is None:
            self._guard = self.loop.call_later(self.timeout_s, self.transport.close)
        self._unparsed += len(data)
        if self._unparsed > MAX_HEAD and not self.transport.is_closing():
            self.send_400_response("The request's headers are too long.")

    def on_message_begin(self) -> None:
        """See httptools."""
        self._head_pending = True
        self._head_size = self._unparsed = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """See httptools."""
        self._grow(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """See httptools."""
        self._grow(len(name) + len(value))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """See httptools."""
        self._head_pending = False
        self._let_go()
        if len(self.connections) > self.max_connections:
            self.app = cast(Any, refuse)
        before = self.cycle
        super().on_headers_complete()
        cycle = self.cycle
        if cycle is before:  # a WebSocket's, which has none
            return
        cycle.transport = cast(Any, _Response(self.transport, self.loop))
        if self._lingering:  # which its response will say
            cycle.keep_alive = False

    def shutdown(self) -> None:
        """See HttpToolsProtocol."""
        if not self.linger_s or not self._answered():
            super().shutdown()
            return
        self._lingering = True
        self.loop.call_later(self.linger_s, self._close_if_idle)

    def handle_websocket_upgrade(self) -> None:
        """See HttpToolsProtocol."""
        if len(self.connections) <= self.max_connections:
            super().handle_websocket_upgrade()
            return
        status, headers, body = refusal()
        lines = [b"HTTP/1.1 %d \r\n" % status, *(b"%s: %s\r\n" % pair for pair in headers)]
        self.transport.write(b"".join([*lines, b"\r\n", body]))
        self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._let_go()
        super().connection_lost(exc)

    def _answered(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _close_if_idle(self) -> None:
        if self._answered() and not self._head_pending:  # for a head there is the guard
            self.transport.close()

    def _grow(self, size: int) -> None:
        self._head_size += size
        if self._head_size > MAX_HEAD:
            raise ValueError("too long")  # which the parser reports, and uvicorn answers with 400

    def _let_go(self) -> None:
        if self._guard is not None:
            self._guard.cancel()
            self._guard = None
