"""A model file by position: what is read is checked against its end first, and little is held.

Files are read, not mapped: one that is cut short while it is looked at ends in an error, where a
mapping would end the process.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from struct import Struct
from typing import BinaryIO

from sensorium.core.errors import InvalidInputError, NotFoundError

PAGE = 1 << 16
PAGES = 64
"""How many pages a source holds at once: 4 MB."""
MAX_READ = 1 << 27
"""No single read is of more bytes; no header has a part as long."""
U8 = Struct("<B")
U16 = Struct("<H")
I32 = Struct("<i")
U32 = Struct("<I")
U64 = Struct("<Q")


class Source:
    """A file, or a stretch of one, by position from its start.

    `path` is where it lies, for formats that have more files beside it; None for a stretch.
    """

    def __init__(self, file: BinaryIO, size: int, start: int = 0, path: Path | None = None) -> None:
        self.size = size
        self.path = path
        self._file = file
        self._start = start
        self._pages: dict[int, bytes] = {}

    def read(self, at: int, count: int) -> bytes:
        """The bytes from a position on.

        Raises:
            InvalidInputError: the file ends before, or no header has a part so long.
            NotFoundError: the file cannot be read any more.
        """
        self.check(at, count)
        number, inside = divmod(at, PAGE)
        if inside + count <= PAGE:
            page = self._pages.get(number) or self._load(number)
            return page[inside : inside + count]
        if count > MAX_READ:
            raise InvalidInputError(f"{count} bytes from byte {at} on are too many for a header")
        return self._fetch(at, count)

    def number(self, layout: Struct, at: int) -> int:
        """The number of that layout at a position.

        Raises:
            InvalidInputError: the file ends before.
        """
        value: int = layout.unpack(self.read(at, layout.size))[0]
        return value

    def check(self, at: int, count: int) -> None:
        """That so many bytes lie there.

        Raises:
            InvalidInputError: they do not.
        """
        if at < 0 or count < 0 or count > self.size - at:
            raise InvalidInputError(
                f"it ends at byte {self.size}, but names {count} bytes from byte {at} on"
            )

    def part(self, at: int, count: int) -> "Source":
        """A stretch of it as a source of its own."""
        self.check(at, count)
        return Source(self._file, count, self._start + at)

    def _load(self, number: int) -> bytes:
        if len(self._pages) >= PAGES:
            del self._pages[next(iter(self._pages))]
        at = number * PAGE
        page = self._pages[number] = self._fetch(at, min(PAGE, self.size - at))
        return page

    def _fetch(self, at: int, count: int) -> bytes:
        try:
            self._file.seek(self._start + at)
            data = self._file.read(count)
        except OSError:
            raise NotFoundError("a file of the model cannot be read") from None
        if len(data) != count:
            raise InvalidInputError("it was cut short while it was read")
        return data


@contextmanager
def opened(path: Path) -> Iterator[Source]:
    """A file as a source, while the context lasts.

    Raises:
        NotFoundError: there is no file, or none that may be read.
    """
    with _open(path) as file:
        yield Source(file, os.fstat(file.fileno()).st_size, path=path)


def held(data: bytes) -> Source:
    """Bytes that are in memory as a source."""
    return Source(BytesIO(data), len(data))


def _open(path: Path) -> BinaryIO:
    try:
        # Opening a pipe would wait for its other end, so what it is comes first.
        if not stat.S_ISREG(path.stat().st_mode):
            raise NotFoundError("the model is no file")
        return path.open("rb", buffering=0)
    except (OSError, ValueError):
        raise NotFoundError("a file of the model is missing, or may not be read") from None
