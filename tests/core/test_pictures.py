"""What a picture's first bytes tell, against files that a library wrote."""

import io
import struct
import zlib
from contextlib import suppress
from typing import Any

import pytest

from sensorium.core.errors import InvalidInputError
from sensorium.core.pictures import MAX_BYTES, MAX_PIXELS, look

PNG = b"\x89PNG\r\n\x1a\n"


def part(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I4s", len(data), name) + data + struct.pack(">I", zlib.crc32(name + data))


def png_of(width: int, height: int, *parts: bytes) -> bytes:
    """The head of a PNG that says so."""
    size = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return PNG + part(b"IHDR", size) + b"".join(parts) + part(b"IDAT", b"") + part(b"IEND", b"")


def written(kind: str, **more: Any) -> bytes:
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    file = io.BytesIO()
    image.new("RGB", (30, 20), "red").save(file, kind, **more)
    return file.getvalue()


@pytest.mark.parametrize(
    ("kind", "more", "media_type"),
    [
        ("PNG", {}, "image/png"),
        ("JPEG", {}, "image/jpeg"),
        ("JPEG", {"progressive": True, "comment": b"long " * 10_000}, "image/jpeg"),
        ("GIF", {}, "image/gif"),
        ("WEBP", {}, "image/webp"),
        ("WEBP", {"lossless": True}, "image/webp"),
    ],
)
def test_kind_and_size(kind: str, more: dict[str, Any], media_type: str) -> None:
    assert look(written(kind, **more)) == (media_type, 30, 20, 1)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_turned_pictures(kind: str, orientation: int) -> None:
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    exif = image.Exif()
    exif[0x0112] = orientation
    size = (30, 20) if orientation < 5 else (20, 30)
    assert look(written(kind, exif=exif))[1:] == (*size, orientation)


@pytest.mark.parametrize(
    "exif",
    [
        b"",
        b"II*\0",
        b"II*\0\xff\xff\xff\xff",
        b"II*\0" + struct.pack("<IHHHIH", 8, 65535, 0x0112, 3, 1, 9),
        b"II*\0" + struct.pack("<IHHHIH", 8, 1, 0x0112, 2, 1, 6),
        b"MM\0*" + struct.pack("<IHHHIH", 8, 1, 0x0112, 3, 1, 6),
    ],
)
def test_nonsense_turns_nothing(exif: bytes) -> None:
    assert look(png_of(3, 2, part(b"eXIf", exif))) == ("image/png", 3, 2, 1)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x89PNG",
        PNG,
        png_of(0, 5),
        png_of(2**31, 2**31),
        png_of(MAX_PIXELS, 2),
        b"GIF89a\1",
        b"\xff\xd8\xff",
        b"\xff\xd8\xff\xe0\0\0" * 5000,
        b"\xff\xd8" + b"\xff" * 5000,
        b"\xff\xd8\xff\xd9" + bytes(100),
        b"RIFF\0\0\0\0WEBP",
        b"RIFF\0\0\0\0WEBPVP8Q" + bytes(40),
        b"RIFF\0\0\0\0WAVE" + bytes(40),
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"BM" + bytes(60),
        b"II*\0" + bytes(60),
        b"%!PS-Adobe-3.0",
        PNG + bytes(MAX_BYTES),
    ],
)
def test_what_is_no_picture_within_bounds(data: bytes) -> None:
    with pytest.raises(InvalidInputError):
        look(data)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP"])
def test_files_cut_anywhere(kind: str) -> None:
    whole = written(kind)
    for end in range(len(whole)):
        with suppress(InvalidInputError):
            look(whole[:end])
