"""Handing a listening socket to the server that replaces this one, so that no call is refused.

Both run on one machine for one user. They meet at a Unix socket in the data folder, over which the
descriptor goes (SCM_RIGHTS). What waits to be accepted belongs to the listening socket, so that it
is the new server's; what was accepted stays with the old one, which lets it finish.
"""

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable
from pathlib import Path

from sensorium.core.errors import UnavailableError

GREETING = struct.Struct("!5sH")
"""A word, and the port of gRPC, which the other may share meanwhile; 0 for none."""
HELLO, GO, DONE = b"hello", b"go", b"done"
CHANGING_S = 10.0
LOOK_S = 0.1
PATIENCE_S = 60.0
"""How long the old server waits for the new one to be ready."""


class Offer:
    """Lets one server have the socket; `on_taken` is called, on a thread, when it is ready.

    `grpc_port` tells the port that it may share until then, 0 for none.

    Raises:
        OSError: the folder cannot be written to, or its path is too long for a socket.
    """

    def __init__(
        self,
        path: Path,
        sock: socket.socket,
        grpc_port: Callable[[], int],
        on_taken: Callable[[], None],
    ) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._path = path
        self._sock = sock
        self._grpc_port = grpc_port
        self._on_taken = on_taken
        self._listener = socket.socket(socket.AF_UNIX)
        self._closing = threading.Lock()
        try:
            path.unlink(missing_ok=True)  # of a server that was killed: the port is ours now
            self._listener.bind(str(path))
            self._listener.listen(1)
        except OSError:
            self._listener.close()
            raise
        threading.Thread(target=self._wait, name="handover", daemon=True).start()

    def close(self) -> None:
        """Let nobody have it any more."""
        self._close(taken=False)

    def _wait(self) -> None:
        while True:
            try:
                other, _ = self._listener.accept()
            except OSError:  # closed
                return
            with other, contextlib.suppress(OSError):
                other.settimeout(PATIENCE_S)
                greeting = GREETING.pack(HELLO, self._grpc_port())
                socket.send_fds(other, [greeting], [self._sock.fileno()])
                if other.recv(len(GO)) == GO:
                    other.sendall(DONE)
                    self._close(taken=True)
                    self._on_taken()
                    return

    def _close(self, *, taken: bool) -> None:
        if not self._closing.acquire(blocking=False):  # once
            return
        if not taken:  # else the path is the other server's from now on
            self._path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
        self._listener.close()


class Taken:
    """The socket of a running server, and the way to tell it that it may go."""

    def __init__(self, sock: socket.socket, grpc_port: int, other: socket.socket) -> None:
        self.sock = sock
        self.grpc_port = grpc_port
        self._other = other

    def close(self) -> None:
        """Give it up; the other server goes on."""
        self.sock.close()
        self._other.close()

    def release(self) -> bool:
        """Have the other server leave: it accepts nothing more, and finishes what it runs.

        Returns whether it said that it does.
        """
        done = b""
        with contextlib.suppress(OSError):  # it is gone, or waits no longer
            self._other.sendall(GO)
            done = self._other.recv(len(DONE))
        self._other.close()
        return done == DONE


def take(path: Path) -> Taken | None:
    """The socket of the server that offers one at `path`; None where none does.

    Where another is just taking it, this waits for it, to take it from that one.

    Raises:
        UnavailableError: this platform cannot hand over a socket.
    """
    if not hasattr(socket, "AF_UNIX"):
        raise UnavailableError(
            "this platform cannot hand over a socket; deploy/replace.ps1 stops and starts instead"
        )
    until = time.monotonic() + CHANGING_S
    while True:
        other = socket.socket(socket.AF_UNIX)
        other.settimeout(PATIENCE_S)
        try:
            other.connect(str(path))
        except OSError:  # nobody is there
            other.close()
            return None
        with contextlib.suppress(OSError):
            greeting, descriptors, _, _ = socket.recv_fds(other, GREETING.size, 1)
            if len(greeting) == GREETING.size and descriptors:
                _, grpc_port = GREETING.unpack(greeting)
                return Taken(socket.socket(fileno=descriptors[0]), grpc_port, other)
        other.close()  # it went to another in this moment
        if time.monotonic() > until:
            return None
        time.sleep(LOOK_S)
