"""SHA-256 of files that nobody told us the hash of, computed once for a size and a time."""

import hashlib
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec

FILE = ".digests.json"
BLOCK = 1 << 20
Stamp = tuple[int, int]
"""Size in bytes and time of the last change in nanoseconds."""


def nothing() -> None:
    """A check for work that nobody cancels."""


def sha256_of(path: Path, check: Callable[[], None] = nothing) -> str:
    """The SHA-256 of a file in hexadecimal; calls `check` for every MiB.

    Raises:
        OSError: it cannot be read.
    """
    digest = hashlib.sha256()
    buffer = bytearray(BLOCK)
    view = memoryview(buffer)
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(buffer):
            check()
            digest.update(view[:count])
    return digest.hexdigest()


def stamp_of(path: Path) -> Stamp:
    """The size and the time of a file.

    Raises:
        OSError: there is none that can be read.
    """
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns


class Digests:
    """The hashes known so far, kept in a file of the folder of models where it can be written.

    Several threads may compute at once.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._keeping = threading.Lock()
        self._known: dict[str, tuple[int, int, str]] | None = None

    def known(self, path: str, stamp: Stamp) -> str:
        """The hash of the file at a path below the root, `""` if it is yet to be computed."""
        size, changed, digest = self._all().get(path, (0, 0, ""))
        return digest if (size, changed) == stamp else ""

    def compute(self, path: str, check: Callable[[], None] = nothing) -> str:
        """The hash of the file at a path below the root, remembered for the next time.

        Raises:
            OSError: it cannot be read.
        """
        stamp = stamp_of(self._root / path)
        digest = self.known(path, stamp) or sha256_of(self._root / path, check)
        with self._keeping:
            self._all()[path] = (*stamp, digest)
        return digest

    def keep(self) -> None:
        """Write what is known, without the files that are gone; a failure costs only time."""
        with self._keeping:
            known = {path: of for path, of in self._all().items() if (self._root / path).exists()}
            self._known = known
            beside = self._root / f"{FILE}.{os.getpid()}"
            with suppress(OSError):
                beside.write_bytes(msgspec.json.encode(known))
                beside.replace(self._root / FILE)

    def _all(self) -> dict[str, tuple[int, int, str]]:
        if self._known is None:
            self._known = {}
            with suppress(OSError, msgspec.MsgspecError):
                kept = (self._root / FILE).read_bytes()
                self._known = msgspec.json.decode(kept, type=dict[str, tuple[int, int, str]])
        return self._known
