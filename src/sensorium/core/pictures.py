"""What the first bytes of a picture's file tell: its kind, its size, how it is to be turned.

Nothing is decoded here, so that a file that would grow too large is refused before it can.
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple

from sensorium.core.errors import InvalidInputError

MAX_BYTES = 20 << 20
MAX_PIXELS = 50_000_000
MAX_PARTS = 2000
"""Parts of a file that are looked through; none has so many before its picture."""
WANTED = "a picture is a PNG, JPEG, GIF or WebP file"
_PNG, _JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
_SIZES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""The markers of JPEG that a frame's size follows."""
_BARE = frozenset([0x01, *range(0xD0, 0xD9)])
"""Those that nothing follows."""
_ORIENTATION = 0x0112
_SIDEWAYS = (5, 6, 7, 8)


class Picture(NamedTuple):
    """What a file says of its picture."""

    media_type: str
    width: int
    """In pixels, as it is seen: turned already."""
    height: int
    orientation: int
    """How it is to be turned, as EXIF numbers it: 1 (as it is) to 8."""


def look(data: bytes) -> Picture:
    """The kind and the size of a picture.

    Raises:
        InvalidInputError: it is of another kind, damaged, or too large.
    """
    if len(data) > MAX_BYTES:
        raise InvalidInputError(f"a picture has at most {MAX_BYTES} bytes")
    kind = media_type(data)
    try:
        width, height, exif = _read(data, kind)
    except (struct.error, IndexError):
        raise InvalidInputError("the picture is damaged: its file ends too soon") from None
    if not width or not height:
        raise InvalidInputError("the picture is damaged: it has no size")
    if width * height > MAX_PIXELS:
        raise InvalidInputError(
            f"the picture has {width} x {height} pixels; the most are {MAX_PIXELS}"
        )
    turned = _orientation(exif)
    if turned in _SIDEWAYS:
        width, height = height, width
    return Picture(kind, width, height, turned)


def media_type(data: bytes) -> str:
    """The kind of a picture, by the first bytes of its file.

    Raises:
        InvalidInputError: it is of another kind.
    """
    if data.startswith(_PNG):
        return "image/png"
    if data.startswith(_JPEG):
        return "image/jpeg"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    raise InvalidInputError(WANTED)


def _read(data: bytes, kind: str) -> tuple[int, int, bytes]:
    """Width, height and EXIF data."""
    match kind:
        case "image/png":
            width, height = struct.unpack_from(">II", data, 16)
            return width, height, _part(data, _png(data), b"eXIf")
        case "image/jpeg":
            return _jpeg(data)
        case "image/gif":
            return *struct.unpack_from("<HH", data, 6), b""
        case _:
            return *_webp(data), _part(data, _riff(data), b"EXIF")


def _png(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Name, place and length of each part before the picture itself."""
    at = len(_PNG)
    for _ in range(MAX_PARTS):
        if at + 8 > len(data):
            return
        length, name = struct.unpack_from(">I4s", data, at)
        if name == b"IDAT":
            return
        yield name, at + 8, length
        at += length + 12


def _riff(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    at = 12
    for _ in range(MAX_PARTS):
        if at + 8 > len(data):
            return
        name, length = struct.unpack_from("<4sI", data, at)
        yield name, at + 8, length
        at += 8 + length + length % 2


def _part(data: bytes, parts: Iterator[tuple[bytes, int, int]], wanted: bytes) -> bytes:
    """What the first part of that name holds; nothing where there is none."""
    for name, at, length in parts:
        if name == wanted:
            return data[at : at + length].removeprefix(b"Exif\0\0")
    return b""


def _webp(data: bytes) -> tuple[int, int]:
    kind = data[12:16]
    if kind == b"VP8X":
        return _uint24(data, 24) + 1, _uint24(data, 27) + 1
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    raise InvalidInputError("the picture is damaged: this is no WebP that is known")


def _uint24(data: bytes, at: int) -> int:
    return data[at] | data[at + 1] << 8 | data[at + 2] << 16


def _jpeg(data: bytes) -> tuple[int, int, bytes]:
    exif, at = b"", 2
    for _ in range(MAX_PARTS):
        start, marker = data[at], data[at + 1]
        if start != 0xFF:
            break
        if marker == 0xFF:  # one that fills
            at += 1
            continue
        if marker in _BARE:
            at += 2
            continue
        (length,) = struct.unpack_from(">H", data, at + 2)
        if marker in _SIZES:
            height, width = struct.unpack_from(">HH", data, at + 5)
            return width, height, exif
        if marker == 0xE1 and not exif and data[at + 4 : at + 10] == b"Exif\0\0":
            exif = data[at + 10 : at + 2 + length]
        at += 2 + length
    raise InvalidInputError("the picture is damaged: this is no JPEG")


def _orientation(exif: bytes) -> int:
    """How EXIF says that the picture is to be turned; 1, where it says nothing or nonsense."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4])
    if order is None:
        return 1
    try:
        (at,) = struct.unpack_from(f"{order}I", exif, 4)
        (count,) = struct.unpack_from(f"{order}H", exif, at)
        for each in range(min(count, 200)):
            tag, kind, _, value = struct.unpack_from(f"{order}HHIH", exif, at + 2 + 12 * each)
            if tag == _ORIENTATION and kind == 3:
                return value if value in range(1, 9) else 1
    except struct.error:
        pass
    return 1
