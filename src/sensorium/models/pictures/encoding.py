"""Pictures from anywhere become files that any decoder may be given."""

from collections.abc import Sequence
from io import BytesIO

from PIL import Image

from sensorium.core.conversation import ImagePart
from sensorium.models.pictures.decoding import decode_all

LONGEST = 4096
"""Pixels of a side. A projector reduces pictures to less, and files of larger ones take memory."""
FAST = 1
"""Of zlib: the file goes no further than to the library beside."""


def as_png(parts: Sequence[ImagePart]) -> list[bytes]:
    """PNG files of pictures in RGB, reduced to `LONGEST`; errors as for `decode_all`."""
    return [_png(each) for each in decode_all(parts)]


def blanks(parts: Sequence[ImagePart]) -> list[bytes]:
    """Files of blank pictures of the same sizes, thousands of times as small; errors as above."""
    return [_png(Image.new("L", each.size)) for each in decode_all(parts)]


def _png(picture: Image.Image) -> bytes:
    picture.thumbnail((LONGEST, LONGEST))
    file = BytesIO()
    picture.save(file, "PNG", compress_level=FAST)
    return file.getvalue()
