"""Files as they grow: what was appended, across truncation and rotation."""

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from sensorium.cli.logfiles import STDIN
from sensorium.core.codec import split_lines

POLL_S = 0.25
CHUNK = 1 << 22


class Tail:
    """One file, by name: when another takes the name, it goes on with that one."""

    def __init__(self, path: str) -> None:
        self.path = Path(path)
        self._file: IO[bytes] | None = None
        self._rest = b""

    def read(self) -> list[str]:
        """The lines that were completed since the last read; none where there is no file yet."""
        if self._file is None:
            self._open()
        lines = self._read_on()
        if self._file is not None and self._replaced():
            lines += self._read_on()
            self.close()
            self._open()
            lines += self._read_on()
        return lines

    def close(self) -> None:
        """Close the file; an unfinished last line is forgotten."""
        if self._file is not None:
            self._file.close()
        self._file, self._rest = None, b""

    def _open(self) -> None:
        try:
            self._file = self.path.open("rb")
        except FileNotFoundError:  # between two files of that name
            self._file = None

    def _read_on(self) -> list[str]:
        if self._file is None:
            return []
        if os.fstat(self._file.fileno()).st_size < self._file.tell():
            self._file.seek(0)
            self._rest = b""
        text = self._rest + self._file.read()
        end = text.rfind(b"\n") + 1
        self._rest = text[end:]
        return split_lines(text[:end])

    def _replaced(self) -> bool:
        assert self._file is not None
        try:
            now = self.path.stat()
        except FileNotFoundError:
            return False
        return not os.path.samestat(now, os.fstat(self._file.fileno()))


def follow(tails: list[Tail]) -> Iterator[list[str]]:
    """The lines that come to any of the files, without end."""
    while True:
        lines = [line for tail in tails for line in tail.read()]
        if lines:
            yield lines
        else:
            time.sleep(POLL_S)


def follow_stdin() -> Iterator[list[str]]:
    """The lines that come on standard input, those together that come together; until its end."""
    rest = b""
    stdin = sys.stdin.fileno()
    while piece := os.read(stdin, CHUNK):
        text = rest + piece
        end = text.rfind(b"\n") + 1
        rest = text[end:]
        if end:
            yield split_lines(text[:end])
    if rest:
        yield split_lines(rest)


def sources(paths: list[str]) -> tuple[list[str], Iterator[list[str]]]:
    """What the files hold now, and what will come."""
    if paths == [STDIN]:
        return [], follow_stdin()
    tails = [Tail(path) for path in paths]
    for tail in tails:
        tail.path.stat()  # a name that is wrong from the start should be said, not waited for
    return [line for tail in tails for line in tail.read()], follow(tails)
