"""HTTP by hand: what no well-behaved client would send."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

from tests.servers import Server

PATIENCE_S = 60.0


@contextmanager
def connected(server: Server, timeout_s: float = PATIENCE_S) -> Iterator[socket.socket]:
    """A bare connection to a server."""
    parts = urlsplit(server.url)
    assert parts.hostname
    with socket.create_connection((parts.hostname, parts.port or 0), timeout=timeout_s) as sock:
        yield sock


def talk(server: Server, sent: bytes, timeout_s: float = PATIENCE_S) -> bytes:
    """Everything that the server answers until it closes the connection."""
    with connected(server, timeout_s) as sock:
        # It may refuse and close before it has heard all of it.
        with suppress(BrokenPipeError, ConnectionResetError):
            sock.sendall(sent)
        return until_closed(sock)


def until_closed(sock: socket.socket) -> bytes:
    """What still comes, until the other end closes."""
    heard = b""
    try:
        while piece := sock.recv(65536):
            heard += piece
    except ConnectionResetError:
        pass
    return heard


def request(
    method: str = "GET", path: str = "/v1/health", *headers: str, body: bytes = b""
) -> bytes:
    """A request that asks for the connection to be closed after it."""
    named = {line.partition(":")[0].lower() for line in headers}
    lines = [f"{method} {path} HTTP/1.1", *headers, "connection: close"]
    if "host" not in named:
        lines.append("host: 127.0.0.1")
    if body and not named & {"content-length", "transfer-encoding"}:
        lines.append(f"content-length: {len(body)}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def status(answer: bytes) -> int:
    """The status of the first response; 0 where there was none."""
    first = answer.partition(b"\r\n")[0].split(b" ")
    return int(first[1]) if len(first) > 1 and first[1].isdigit() else 0
