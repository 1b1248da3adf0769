"""The wire between the server and a worker: a kind, a call's number, a length, that many bytes."""

import struct
from collections.abc import Iterator
from enum import IntEnum

HEADER = struct.Struct("!BIQ")
PIECE = 1 << 18
"""Large bodies travel in pieces of at most this many bytes, so that frames of other calls and
pings pass between them."""


class Frame(IntEnum):
    """What a frame says."""

    # Server to worker
    CALL = 1
    """A new call; the bytes are its header."""
    PIECE = 2
    """The next bytes of its body."""
    START = 3
    """The body is complete."""
    ITEM = 4
    """An item for a call that listens."""
    END = 5
    """No more items."""
    CANCEL = 6
    PING = 7
    TAKEN = 8
    """So many answers were taken, which is the one byte: as many more may be sent."""
    FORGET = 9
    """What the call's answers left in shared memory was read."""
    # Worker to server
    READY = 20
    ANSWER = 21
    """A whole answer, or an item of one."""
    REPORT = 22
    FAILED = 23
    DONE = 24
    PONG = 25
    WANTED = 26
    """An item was taken: one more may be sent."""


CREDIT = 64
"""How many answers, or items, of one call may be under way at once. The reader of either end so
never waits for one slow call while others speak."""
TAKEN_AT_ONCE = 16
"""So many answers are taken before the worker hears of it: each time wakes it."""


def pack(kind: Frame, call: int = 0, body: bytes | bytearray | memoryview = b"") -> bytes:
    """A frame as bytes."""
    return HEADER.pack(kind, call, len(body)) + body


class Parser:
    """Cuts a byte stream back into frames, whatever pieces it arrives in."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._wanted = HEADER.size

    def feed(self, data: bytes) -> Iterator[tuple[int, int, bytes]]:
        """The frames (kind, call, body) that are complete with `data`."""
        self._buffer += data
        while len(self._buffer) >= self._wanted:
            kind, call, length = HEADER.unpack_from(self._buffer)
            whole = HEADER.size + length
            if len(self._buffer) < whole:
                self._wanted = whole
                return
            with memoryview(self._buffer) as view:
                body = bytes(view[HEADER.size : whole])
            del self._buffer[:whole]
            self._wanted = HEADER.size
            yield kind, call, body
