"""uvicorn's HTTP/1.1 protocol, with limits on how long a request's head may take and be."""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from sensorium.transports.http.unread import Unread

MAX_HEAD = 64 << 10
"""The most bytes that a request line and its headers may have."""


class GuardedProtocol(Unread, HttpToolsProtocol):
    """Closes a connection whose request line and headers are not there in time, or too long.

    Without it, a client that sends a byte now and then holds its connection for ever, and one
    whose headers do not end fills the memory.
    """

    _guard: asyncio.TimerHandle | None = None
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
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._let_go()
        super().connection_lost(exc)

    def _grow(self, size: int) -> None:
        self._head_size += size
        if self._head_size > MAX_HEAD:
            raise ValueError("too long")  # which the parser reports, and uvicorn answers with 400

    def _let_go(self) -> None:
        if self._guard is not None:
            self._guard.cancel()
            self._guard = None
