"""HTTP/2 and gRPC by hand: what no gRPC library would send."""

import struct
from collections.abc import Sequence

HEADERS, DATA, SETTINGS, WINDOW_UPDATE = 1, 0, 4, 8
END_HEADERS, END_STREAM = 4, 1


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """A frame of HTTP/2."""
    length = struct.pack(">I", len(payload))[1:]
    return length + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def header(name: bytes, value: bytes) -> bytes:
    """A header field, written out without any table."""
    assert max(len(name), len(value)) < 127
    return b"\x00" + bytes([len(name)]) + name + bytes([len(value)]) + value


OPENING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS, 0, 0, b"")
"""What a client begins a connection with."""
MOST = 2**31 - 1
WIDE = (
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    + frame(SETTINGS, 0, 0, struct.pack(">HI", 4, MOST))
    + frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", MOST - 65535))
)
"""What one begins it with that lets the server send two gigabytes ahead."""


def call(path: bytes, message: bytes, more: Sequence[tuple[bytes, bytes]] = ()) -> bytes:
    """The first call of a connection, of a method that takes one message."""
    fields = [
        *((b":method", b"POST"), (b":scheme", b"http"), (b":path", path)),
        *((b":authority", b"x"), (b"te", b"trailers"), (b"content-type", b"application/grpc")),
        *more,
    ]
    head = b"".join(header(*field) for field in fields)
    prefixed = b"\x00" + struct.pack(">I", len(message)) + message
    return frame(HEADERS, END_HEADERS, 1, head) + frame(DATA, END_STREAM, 1, prefixed)
