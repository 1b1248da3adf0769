"""Files of pictures become pixels, within bounds. Runs in the model's own process."""

import re
from collections.abc import Iterator, Sequence
from io import BytesIO

from PIL import Image

from sensorium.core.conversation import ImagePart
from sensorium.core.errors import InvalidInputError
from sensorium.core.pictures import MAX_PARTS, MAX_PIXELS, Picture, look

MAX_ALL = 2 * MAX_PIXELS
"""Pixels that all pictures of a conversation may have."""
KINDS = ("PNG", "JPEG", "GIF", "WEBP")
DEEP = ("I", "I;16", "I;16B", "I;16L")
CLEAR = ("RGBA", "LA", "PA", "La", "RGBa")
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What EXIF's numbers have done to a picture before it is looked at."""
MAX_SCANS = 32
"""Of a JPEG file. Each goes over the whole picture again; those who save them make about ten."""
_MARKER = re.compile(rb"\xff([\x01-\xcf\xd8-\xfe])")
"""Where a part of a JPEG begins, restarts in the midst of a scan aside."""
_SCAN, _END, _BARE = 0xDA, 0xD9, (0x01, 0xD8)
DAMAGED = "the picture is damaged"


def decode_all(parts: Sequence[ImagePart]) -> Iterator[Image.Image]:
    """The pictures of a conversation, each decoded when it is asked for.

    Errors as for `decode`, and, before any is decoded, for too many pixels in all.
    """
    if any(part.url for part in parts):
        raise InvalidInputError("this model takes pictures as files, and no addresses")
    seen = [look(part.data) for part in parts]
    if sum(each.width * each.height for each in seen) > MAX_ALL:
        raise InvalidInputError(f"the pictures have more than {MAX_ALL} pixels together")
    return (_decoded(part.data, each) for part, each in zip(parts, seen, strict=True))


def decode(data: bytes) -> Image.Image:
    """A picture in RGB, as it is seen: turned, its first frame, on white where it is clear.

    Raises:
        InvalidInputError: it is no picture of a known kind, damaged, or too large.
    """
    return _decoded(data, look(data))


def _decoded(data: bytes, told: Picture) -> Image.Image:
    if told.media_type == "image/jpeg":
        _check_scans(data)
    try:
        with Image.open(BytesIO(data), formats=KINDS) as opened:
            _check(opened, told)
            found = _flat(opened)
    except InvalidInputError:
        raise
    except Exception:  # a damaged file makes the library raise anything
        raise InvalidInputError(DAMAGED) from None
    turn = TURNS.get(told.orientation)
    return found if turn is None else found.transpose(turn)


def _check_scans(data: bytes) -> None:
    """Whether a JPEG goes over its picture a few times only; what is damaged is for the library."""
    at = scans = 0
    for _ in range(MAX_PARTS):
        found = _MARKER.search(data, at)
        if found is None or found[1][0] == _END:
            return
        at = found.end()
        if found[1][0] not in _BARE:
            at += int.from_bytes(data[at : at + 2])
        scans += found[1][0] == _SCAN
        if scans > MAX_SCANS:
            raise InvalidInputError(f"a JPEG picture has at most {MAX_SCANS} scans")
    raise InvalidInputError(f"{DAMAGED}: it has too many parts")


def _check(opened: Image.Image, told: Picture) -> None:
    """Whether the library is about to make what the file's head says, before it does."""
    size = (told.height, told.width) if told.orientation > 4 else (told.width, told.height)
    if opened.size != size:
        raise InvalidInputError(f"{DAMAGED}: it says two sizes")


def _flat(opened: Image.Image) -> Image.Image:
    if opened.mode in DEEP:
        return opened.convert("I").point(lambda value: value / 256).convert("L").convert("RGB")
    if opened.mode in CLEAR or "transparency" in opened.info:
        clear = opened.convert("RGBA")
        white = Image.new("RGBA", clear.size, "white")
        return Image.alpha_composite(white, clear).convert("RGB")
    return opened.convert("RGB")
