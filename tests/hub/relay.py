"""A relay in front of a server that cuts what comes back."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

from tests.servers import Server

BLOCK = 1 << 16


class Cutting:
    """Passes every connection on until `after` bytes have come back; then it is cut.

    It is cut once, or each time until `after` is set to None.
    """

    def __init__(self, server: Server, after: int, *, once: bool) -> None:
        parts = urlsplit(server.url)
        self._there = (parts.hostname or "", parts.port or 0)
        self.after: int | None = after
        self._once = once
        self._came = 0
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self.cuts = 0
        self.asked = b""
        """What was sent to the server."""

    def run(self) -> None:
        """Serve until the listening socket is closed."""
        with suppress(OSError):
            while True:
                here, _ = self._listening.accept()
                there = socket.create_connection(self._there)
                for work in (self._up, self._down):
                    threading.Thread(target=work, args=(here, there), daemon=True).start()

    def close(self) -> None:
        """Take no more connections."""
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _up(self, here: socket.socket, there: socket.socket) -> None:
        with suppress(OSError):
            while data := here.recv(BLOCK):
                self.asked += data
                there.sendall(data)

    def _down(self, here: socket.socket, there: socket.socket) -> None:
        with here, there, suppress(OSError):
            while data := there.recv(BLOCK):
                self._came += len(data)
                if self.after is not None and self._came > self.after:
                    self.cuts += 1
                    if self._once:
                        self.after = None
                    here.shutdown(socket.SHUT_RDWR)
                    return
                here.sendall(data)


@contextmanager
def cutting(server: Server, after: int, *, once: bool = True) -> Iterator[Cutting]:
    """A relay in front of a server."""
    relay = Cutting(server, after, once=once)
    thread = threading.Thread(target=relay.run, daemon=True)
    thread.start()
    try:
        yield relay
    finally:
        relay.close()
        thread.join(60)
