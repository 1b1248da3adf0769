"""Log files as lines: plain or compressed, from standard input too, NDJSON by one of its fields."""

import bz2
import gzip
import io
import lzma
import os
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import msgspec
import zstandard

from sensorium.cli.render import Report, progress
from sensorium.core.codec import split_lines
from sensorium.core.errors import InvalidInputError

STDIN = "-"
CHUNK = 1 << 20
KIB = 1024
BOM = b"\xef\xbb\xbf"
_UNREADABLE = (OSError, zlib.error, lzma.LZMAError, zstandard.ZstdError, EOFError)


class _Counted(io.RawIOBase):
    """A file that reports how much of it was read."""

    def __init__(self, file: IO[bytes], total: int | None, report: Report) -> None:
        self._file, self._report = file, report
        self._total = None if total is None else total // KIB
        self._read = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        piece = self._file.read(len(buffer))
        buffer[: len(piece)] = piece
        self._read += len(piece)
        self._report(self._read // KIB, self._total, "KiB")
        return len(piece)


def read_lines(paths: Iterable[str], field: str = "") -> list[str]:
    """The lines of all files, one file after the other; `-` is standard input.

    `field` names the member of NDJSON objects that holds the line; dots lead further in.

    Raises:
        InvalidInputError: damaged compression, no text, or no line has that field.
        OSError: a file cannot be read.
    """
    lines: list[str] = []
    for path in paths:
        content = read_bytes(path)
        if b"\0" in content[:CHUNK]:
            raise InvalidInputError(f"{shown(path)} is not text")
        found = split_lines(content)
        lines += select(found, field, shown(path)) if field else found
    return lines


def read_bytes(path: str) -> bytes:
    """All of a file, decompressed; a bar shows how far it is."""
    name = "standard input" if path == STDIN else Path(path).name
    with progress(f"reading {name}") as report, _opened(path) as (raw, size):
        try:
            content = b"".join(_decompressed(io.BufferedReader(_Counted(raw, size, report), CHUNK)))
        except _UNREADABLE as error:
            if isinstance(error, OSError) and error.errno is not None:
                error.filename = shown(path)  # reading, unlike opening, does not name the file
                raise
            raise InvalidInputError(f"{shown(path)} is damaged or cut short") from None
    return content.removeprefix(BOM)


@contextmanager
def _opened(path: str) -> Iterator[tuple[IO[bytes], int | None]]:
    """A file and its size, where it has one."""
    if path == STDIN:
        yield sys.stdin.buffer, None
    else:
        with Path(path).open("rb") as file:
            yield file, os.fstat(file.fileno()).st_size or None


def _decompressed(file: io.BufferedReader) -> Iterator[bytes]:
    """What a file holds; its first bytes tell how it is compressed."""
    first = file.peek(6)
    for magic, decompress in _COMPRESSIONS.items():
        if first.startswith(magic):
            return decompress(file)
    return _pieces(file)


def _pieces(file: Any) -> Iterator[bytes]:
    while piece := file.read(CHUNK):
        yield piece


def _unzstd(file: io.BufferedReader) -> Iterator[bytes]:
    """Zstandard frames; the library's own file object takes one that is cut short for whole."""
    engine = None
    for piece in _pieces(file):
        rest = piece
        while rest:
            engine = engine or zstandard.ZstdDecompressor().decompressobj()
            yield engine.decompress(rest)
            rest = engine.unused_data
            if engine.eof:
                engine = None
    if engine is not None:
        raise EOFError


_COMPRESSIONS: dict[bytes, Callable[[io.BufferedReader], Iterator[bytes]]] = {
    b"\x1f\x8b": lambda file: _pieces(gzip.GzipFile(fileobj=file)),
    b"\x28\xb5\x2f\xfd": _unzstd,
    b"BZh": lambda file: _pieces(bz2.BZ2File(file)),
    b"\xfd7zXZ\x00": lambda file: _pieces(lzma.LZMAFile(file)),  # noqa: SIM115 - as the others
}
"""By the first bytes of a file."""


def shown(path: str) -> str:
    """A path as a message names it."""
    return "standard input" if path == STDIN else path


def select(lines: list[str], field: str, source: str) -> list[str]:
    """What the field holds in each line that is a JSON object with it; other lines are left out.

    Raises:
        InvalidInputError: no line has it; says which fields there are.
    """
    found = [text for text in (member(line, field) for line in lines) if text is not None]
    if lines and not found:
        raise InvalidInputError(f"{source}: no line has a field {field!r}; {_fields(lines)}")
    return found


def member(line: str, field: str) -> str | None:
    """The text in a field of a JSON object; None where there is none."""
    try:
        value = msgspec.json.decode(line)
    except msgspec.DecodeError:
        return None
    if isinstance(value, dict) and field in value:
        return _text(value[field])
    for name in field.split("."):
        if not isinstance(value, dict) or name not in value:
            return None
        value = value[name]
    return _text(value)


def _text(value: object) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _fields(lines: Iterable[str]) -> str:
    for line in lines:
        try:
            value = msgspec.json.decode(line)
        except msgspec.DecodeError:
            continue
        if isinstance(value, dict) and value:
            return f"there is: {', '.join(sorted(value))}"
    return "its lines are not JSON objects"
