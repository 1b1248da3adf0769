"""Ends the connection of a client that does not read what it asked for."""

import asyncio
from typing import ClassVar


class Unread(asyncio.Protocol):
    """A protocol that may stand unread for so long. Closing it would wait until it is read."""

    timeout_s: ClassVar[float] = 30.0

    transport: asyncio.Transport
    loop: asyncio.AbstractEventLoop
    _unread: asyncio.TimerHandle | None = None

    def pause_writing(self) -> None:
        """See asyncio.Protocol."""
        super().pause_writing()
        if self._unread is None:
            self._unread = self.loop.call_later(self.timeout_s, self.transport.abort)

    def resume_writing(self) -> None:
        """See asyncio.Protocol."""
        super().resume_writing()
        self._read()

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._read()
        super().connection_lost(exc)

    def _read(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None
