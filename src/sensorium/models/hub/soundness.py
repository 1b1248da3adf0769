"""Whether files on disk still are what they were: hashed again, for a size and a time cannot tell.

A disk that rots changes neither, and a copy may bring its old time along.
"""

import hashlib
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sensorium.models.hub.progress import Meter, PullProgress
from sensorium.models.hub.waiting import Teller

BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Kept:
    """A file on disk, and what is on record of it."""

    path: str
    """What the model calls it."""
    file: Path
    size: int
    sha256: str


def find_damaged(
    files: Sequence[Kept], check: Callable[[], None]
) -> Generator[PullProgress, None, frozenset[str]]:
    """The paths of those that are not as recorded, or cannot be read; tells how far it is.

    Calls `check` for every MiB.
    """
    meter, teller = Meter(), Teller()
    total, done = sum(file.size for file in files), 0
    damaged: set[str] = set()
    for file in files:
        digest, before = hashlib.sha256(), done
        try:
            for block in _blocks(file):
                check()
                digest.update(block)
                done += len(block)
                if teller.due():
                    yield meter.progress("checking", file.path, done=done, total=total, fresh=done)
            sound = digest.hexdigest() == file.sha256
        except OSError:
            sound = False
        if not sound:
            damaged.add(file.path)
        done = before + file.size
    return frozenset(damaged)


def _blocks(file: Kept) -> Iterator[memoryview]:
    """What it holds; nothing where its size says enough.

    Raises:
        OSError: it cannot be read, or has another size.
    """
    buffer = memoryview(bytearray(BLOCK))
    with file.file.open("rb", buffering=0) as opened:
        if opened.seek(0, 2) != file.size:
            raise OSError("another size")
        opened.seek(0)
        while count := opened.readinto(buffer):
            yield buffer[:count]
