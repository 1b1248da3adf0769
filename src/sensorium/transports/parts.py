"""Messages that are too long for one frame, in parts.

A part is `{"id": …, "part": "…", "more": true}`, where `id` is the message's own; the texts of all
parts together are the message. The parts of a message stand together.
"""

import re
from collections.abc import Iterator

import msgspec
from msgspec import Raw, Struct

from sensorium.core.errors import MalformedInputError, PayloadTooLargeError
from sensorium.transports.envelope import CallId, id_of

GROWTH = 2
"""How much longer a piece of JSON is at most as a string of JSON: where each byte is escaped."""
ROOM = 256
"""What is left for the rest of a part: an id has at most 128 characters."""
PART_BYTES = 64
"""What a part costs beside its own bytes."""
_ID = re.compile(rb'\{"id": ?(null|-?\d+|"(?:[^"\\]|\\.)*")')
"""How a message begins; to look through the whole of a long one for its id would take as long."""
_MARK = b'"part"'
_MARK_WITHIN = 1024


class _OutgoingPart(Struct):
    id: Raw
    part: str
    more: bool


class _Part(Struct, forbid_unknown_fields=True):
    id: CallId | None
    part: str
    more: bool


def parts_of(message: bytes, most: int) -> Iterator[bytes]:
    """A message, which begins with its id, as frames of at most `most` bytes."""
    if len(message) <= most:
        yield message
        return
    found = _ID.match(message)
    assert found is not None
    call = Raw(found[1])
    step = (most - ROOM) // GROWTH
    start = 0
    while start < len(message):
        end = min(start + step, len(message))
        while end < len(message) and message[end] & 0xC0 == 0x80:  # within a character of UTF-8
            end -= 1
        piece = message[start:end].decode()
        yield msgspec.json.encode(_OutgoingPart(call, piece, end < len(message)))
        start = end


class Joiner:
    """Puts parts together again; a joined message has at most `most` bytes."""

    def __init__(self, most: int) -> None:
        self.call_id: CallId | None = None
        """Whose message the latest frame was, or was a part of."""
        self._most = most
        self._pieces: list[str] = []
        self._bytes = 0

    def add(self, frame: bytes) -> bytes | None:
        """The whole message that a frame is or completes; None while more of it is to come.

        Raises:
            MalformedInputError: a message begins in the middle of another.
            PayloadTooLargeError: this was the last part of a message that is too long.
        """
        part = _part(frame)
        if self._bytes and (part is None or part.id != self.call_id):
            self._reset()
            self.call_id = id_of(frame) if part is None else part.id
            raise MalformedInputError("a message came between the parts of another")
        if part is None:
            return frame
        self.call_id = part.id
        self._bytes += len(frame) + PART_BYTES
        if self._bytes <= self._most:
            self._pieces.append(part.part)
        else:
            self._pieces.clear()
        return None if part.more else self._whole()

    def _whole(self) -> bytes:
        text, too_long = "".join(self._pieces), self._bytes > self._most
        self._reset()
        if too_long:
            raise PayloadTooLargeError(f"a message in parts has at most {self._most} bytes")
        return text.encode()

    def _reset(self) -> None:
        self._pieces, self._bytes = [], 0


def _part(frame: bytes) -> _Part | None:
    """The part that a frame is, or None for a message that is whole."""
    if _MARK not in frame[:_MARK_WITHIN]:
        return None
    try:
        return msgspec.json.decode(frame, type=_Part)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
