"""Messages that are too long for one frame, in parts.

A part is `{"id": …, "part": "…", "more": true}`, where `id` is the message's own; the texts of all
parts together are the message. The parts of a message stand together.
"""

import msgspec
from msgspec import Raw, Struct

from sensorium.core.errors import MalformedInputError, PayloadTooLargeError

BYTES_PER_CHAR = 5
"""The most that a character of JSON takes in a part: four in UTF-8, or two where it is escaped."""
ROOM = 256
"""What is left for the rest of a part: an id has at most 128 characters."""
_MARK = b'"part"'
_MARK_WITHIN = 1024


class Part(Struct, forbid_unknown_fields=True):
    """A piece of a message."""

    id: Raw
    part: str
    more: bool


class _Id(Struct):
    id: Raw


def parts_of(message: bytes, most: int) -> list[bytes]:
    """A message as frames of at most `most` bytes: itself, or its parts."""
    if len(message) <= most:
        return [message]
    call = msgspec.json.decode(message, type=_Id).id
    text = message.decode()
    step = (most - ROOM) // BYTES_PER_CHAR
    pieces = [text[start : start + step] for start in range(0, len(text), step)]
    return [
        msgspec.json.encode(Part(call, piece, number < len(pieces)))
        for number, piece in enumerate(pieces, 1)
    ]


class Joiner:
    """Puts parts together again; a joined message has at most `most` bytes."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._pieces: list[str] = []
        self._length = 0
        self._too_long = False

    def add(self, message: bytes) -> bytes | None:
        """The whole message that a frame is or completes; None while more of it is to come.

        Raises:
            MalformedInputError: a message begins in the middle of another.
            PayloadTooLargeError: this was the last part of a message that is too long.
        """
        part = _part(message)
        if part is None:
            if self._pieces or self._too_long:
                self._reset()
                raise MalformedInputError("a message came between the parts of another")
            return message
        self._length += len(part.part)
        self._too_long = self._too_long or self._length > self._most
        if self._too_long:
            self._pieces.clear()
        else:
            self._pieces.append(part.part)
        if part.more:
            return None
        return self._whole()

    def _whole(self) -> bytes:
        text, too_long = "".join(self._pieces), self._too_long
        self._reset()
        if too_long:
            raise PayloadTooLargeError(f"a message has at most {self._most} bytes")
        return text.encode()

    def _reset(self) -> None:
        self._pieces, self._length, self._too_long = [], 0, False


def _part(message: bytes) -> Part | None:
    """The part that a message is, or None for one that is whole."""
    if _MARK not in message[:_MARK_WITHIN]:
        return None
    try:
        return msgspec.json.decode(message, type=Part)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
