"""uvicorn's HTTP/1.1 protocol, with a limit on how long a request's head may take to arrive."""

import asyncio
from typing import Any, ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class GuardedProtocol(HttpToolsProtocol):
    """Closes a connection whose request line and headers are not there in time.

    Without it, a client that sends a byte now and then holds its connection for ever.
    """

    timeout_s: ClassVar[float] = 30.0

    _guard: asyncio.TimerHandle | None = None
    _head_pending = False

    def connection_made(self, transport: Any) -> None:
        """See asyncio.Protocol."""
        super().connection_made(transport)
        self._guard = self.loop.call_later(self.timeout_s, self.transport.close)

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        super().data_received(data)
        if self._head_pending and self._guard is None:
            self._guard = self.loop.call_later(self.timeout_s, self.transport.close)

    def on_message_begin(self) -> None:
        """See httptools."""
        self._head_pending = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """See httptools."""
        self._head_pending = False
        self._let_go()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._let_go()
        super().connection_lost(exc)

    def _let_go(self) -> None:
        if self._guard is not None:
            self._guard.cancel()
            self._guard = None
