"""Files of pictures become pixels: kinds, turns, clear parts, damage and bombs."""

import io
import random
import struct
import zlib
from typing import Any

import pytest

from sensorium.core.conversation import ImagePart
from sensorium.core.errors import InvalidInputError
from tests.core.test_pictures import part, png_of

Image = pytest.importorskip("PIL.Image", reason="Pillow is not installed: sensorium[pictures]")
decoding = pytest.importorskip("sensorium.models.pictures.decoding")


def saved(image: Any, kind: str, **more: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **more)
    return file.getvalue()


def corner() -> Any:
    """A white picture of 32 x 16, red in its upper left."""
    image = Image.new("RGB", (32, 16), "white")
    image.paste((255, 0, 0), (0, 0, 8, 8))
    return image


def is_near(pixel: tuple[int, ...], expected: tuple[int, ...]) -> bool:
    return all(abs(a - b) < 30 for a, b in zip(pixel, expected, strict=True))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP"])
def test_kinds(kind: str) -> None:
    found = decoding.decode(saved(corner(), kind))
    assert (found.mode, found.size) == ("RGB", (32, 16))
    assert is_near(found.getpixel((1, 1)), (255, 0, 0))
    assert is_near(found.getpixel((30, 14)), (255, 255, 255))


@pytest.mark.parametrize("kind", ["BMP", "TIFF", "PPM", "ICO", "TGA", "PCX"])
def test_other_kinds_are_not_read(kind: str) -> None:
    with pytest.raises(InvalidInputError, match="PNG, JPEG"):
        decoding.decode(saved(corner(), kind))


@pytest.mark.parametrize(
    ("orientation", "red"),
    [
        (1, (1, 1)), (2, (30, 1)), (3, (30, 14)), (4, (1, 14)),
        (5, (1, 1)), (6, (14, 1)), (7, (14, 30)), (8, (1, 30)),
    ],
)  # fmt: skip
def test_turned_as_a_camera_says(orientation: int, red: tuple[int, int]) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    found = decoding.decode(saved(corner(), "PNG", exif=exif))
    assert found.size == ((32, 16) if orientation < 5 else (16, 32))
    assert found.getpixel(red) == (255, 0, 0)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "I;16"])
def test_modes(mode: str) -> None:
    image = Image.new(mode, (4, 4), 0 if mode not in ("RGBA", "LA") else (0,) * len(mode))
    kind = "JPEG" if mode == "CMYK" else "PNG"
    found = decoding.decode(saved(image, kind))
    white = mode in ("LA", "RGBA", "CMYK")  # clear pixels stand on white
    assert is_near(found.getpixel((1, 1)), (255,) * 3 if white else (0,) * 3)


def test_deep_grey_is_grey() -> None:
    found = decoding.decode(saved(Image.new("I;16", (4, 4), 0x8000), "PNG"))
    assert found.getpixel((1, 1)) == (128, 128, 128)


def test_the_first_frame_is_seen() -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "green", "blue")]
    for kind in ("GIF", "WEBP", "PNG"):
        data = saved(frames[0], kind, save_all=True, append_images=frames[1:])
        assert is_near(decoding.decode(data).getpixel((1, 1)), (255, 0, 0))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP"])
def test_damaged_files(kind: str) -> None:
    noise = Image.frombytes("RGB", (64, 64), random.Random(1).randbytes(64 * 64 * 3))
    whole = saved(noise, kind)
    for end in range(12, len(whole) * 3 // 4, len(whole) // 40):
        with pytest.raises(InvalidInputError):
            decoding.decode(whole[:end])


def test_bombs() -> None:
    rows = zlib.compress(bytes(1 << 20))
    size = struct.pack(">IIBBBBB", 60_000, 60_000, 1, 0, 0, 0, 0)
    bomb = png_of(1, 1)[:8] + part(b"IHDR", size) + part(b"IDAT", rows) + part(b"IEND", b"")
    with pytest.raises(InvalidInputError, match="pixels"):
        decoding.decode(bomb)
    text = part(b"zTXt", b"a\0\0" + zlib.compress(bytes(100 << 20)))
    with pytest.raises(InvalidInputError):
        decoding.decode(png_of(4, 4, text))


def scans_again(data: bytes, times: int) -> bytes:
    """A progressive JPEG that goes over its picture's last bits so often."""
    last = data.rindex(b"\xff\xda")
    return data[:-2] + data[last:-2] * times + data[-2:]


def test_a_jpeg_of_many_scans() -> None:
    whole = saved(corner(), "JPEG", progressive=True)
    assert is_near(decoding.decode(scans_again(whole, 20)).getpixel((1, 1)), (255, 0, 0))
    for often in (60, 2000):
        with pytest.raises(InvalidInputError, match="at most 32 scans"):
            decoding.decode(scans_again(whole, often))
    parts = whole[:2] + b"\xff\xfe\0\2" * 5000 + whole[2:]
    with pytest.raises(InvalidInputError):
        decoding.decode(parts)


def test_what_is_no_scan_is_not_counted() -> None:
    exif = Image.Exif()
    exif[0x010E] = "a \xff\xda b" * 200
    comment = b"\xff\xda\0\2" * 5000
    noise = Image.frombytes("RGB", (64, 64), random.Random(1).randbytes(64 * 64 * 3))
    for more in ({}, {"restart_marker_blocks": 1}, {"comment": comment}, {"exif": exif}):
        assert decoding.decode(saved(noise, "JPEG", **more)).size == (64, 64)


def test_a_gif_whose_frame_is_larger_than_it_says() -> None:
    whole = bytearray(saved(Image.new("P", (64, 64)), "GIF"))
    whole[6:10] = struct.pack("<HH", 2, 2)
    with pytest.raises(InvalidInputError, match="two sizes"):
        decoding.decode(bytes(whole))


def test_all_pictures_of_a_conversation() -> None:
    data = saved(corner(), "PNG")
    assert len(list(decoding.decode_all([ImagePart(data=data)] * 3))) == 3
    with pytest.raises(InvalidInputError, match="no addresses"):
        decoding.decode_all([ImagePart(url="https://pictures.example/")])
    large = saved(Image.new("1", (7000, 7000)), "PNG")
    with pytest.raises(InvalidInputError, match="together"):
        decoding.decode_all([ImagePart(data=large)] * 3)
