"""What is on disk of a file that is being fetched, kept so that even a killed pull goes on.

Beside the data lie a header, which says of what file they are, and a map with a byte for each MiB
that is complete. A byte is written after its data, so whatever kills the process, what the map
says is there. A machine that goes down may lose data and keep the map: where no hash would tell,
the map is good for one boot only.
"""

import os
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import msgspec
from msgspec import Struct

from sensorium.models.catalogue.partial import remove

BLOCK = 1 << 20
BOOT = Path("/proc/sys/kernel/random/boot_id")


class Header(Struct, frozen=True, kw_only=True):
    """Which file the data are of."""

    url: str
    """Without its query, which may be signed anew each time."""
    etag: str
    """The hash that the file is known by beforehand, else the server's validator."""
    size: int
    boot: str
    """Which boot the map is good for, `""` where a hash will tell."""
    finished: str = ""
    """The SHA-256 of the complete file, once it is known to be right."""


class Journal:
    """The data of one file in the making, in the folder of its model."""

    def __init__(self, folder: Path, path: str) -> None:
        key = sha256(path.encode()).hexdigest()[:24]
        self.data = folder / f"{key}.data"
        self.header: Header | None = None
        self.resumed = 0
        """Bytes that were there from an earlier pull."""
        self._header_path = folder / f"{key}.json"
        self._map_path = folder / f"{key}.map"
        self._done = bytearray()
        self._map = -1

    @property
    def names(self) -> set[str]:
        """The names of its files in the folder."""
        return {self.data.name, self._header_path.name, self._map_path.name}

    def load(self) -> Header | None:
        """Take up what an earlier pull left; None where there is nothing to go on with."""
        try:
            header = msgspec.json.decode(self._header_path.read_bytes(), type=Header)
            if header.finished:
                self.header = header
                return header
            blocks = -(-header.size // BLOCK)
            done = bytearray(self._map_path.read_bytes())
            usable = len(done) == blocks and self.data.stat().st_size == header.size
            if not usable or header.boot not in ("", boot_id()):
                return None
            self._map = os.open(self._map_path, os.O_RDWR)
        except (OSError, msgspec.MsgspecError):
            return None
        self.header, self._done = header, done
        self.resumed = self.done_bytes
        return header

    def begin(self, header: Header) -> None:
        """Start with nothing; a thread that still writes to the old data does no harm.

        Raises:
            OSError: the folder cannot be written to.
        """
        self.discard()
        descriptor = os.open(self.data, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
        try:
            os.ftruncate(descriptor, header.size)
        finally:
            os.close(descriptor)
        self._done = bytearray(-(-header.size // BLOCK))
        self._map = os.open(self._map_path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
        os.pwrite(self._map, self._done, 0)
        self._write_header(header)

    def mark(self, start: int, end: int) -> None:
        """The bytes from `start`, the beginning of a block, to `end` are on disk."""
        assert self.header is not None
        last = len(self._done) if end >= self.header.size else end // BLOCK
        first = start // BLOCK
        if last > first:
            done = b"\1" * (last - first)
            self._done[first:last] = done
            os.pwrite(self._map, done, first)

    def complete(self, size: int) -> None:
        """All bytes are on disk; only now is it known how many there are."""
        assert self.header is not None
        self._done = bytearray(b"\1" * -(-size // BLOCK))
        os.pwrite(self._map, self._done, 0)
        self._write_header(msgspec.structs.replace(self.header, size=size))

    def missing(self, longest: int) -> list[tuple[int, int]]:
        """The byte ranges that are yet to be fetched, each at most `longest` long."""
        assert self.header is not None
        step = max(1, longest // BLOCK)
        ranges: list[tuple[int, int]] = []
        block = 0
        while (block := self._done.find(0, block)) >= 0:
            end = self._done.find(1, block)
            end = min(len(self._done) if end < 0 else end, block + step)
            ranges.append((block * BLOCK, min(end * BLOCK, self.header.size)))
            block = end
        return ranges

    def complete_from(self, position: int) -> int:
        """How far the bytes are complete without a gap, from a complete `position`."""
        assert self.header is not None
        gap = self._done.find(0, position // BLOCK)
        return self.header.size if gap < 0 else max(position, gap * BLOCK)

    @property
    def done_bytes(self) -> int:
        """Bytes in complete blocks."""
        if self.header is None or not self._done:
            return 0
        whole = self._done.count(1) * BLOCK
        short = len(self._done) * BLOCK - self.header.size
        return whole - short if self._done[-1] else whole

    def finish(self, digest: str) -> None:
        """Say that the data are complete and right."""
        assert self.header is not None
        self._close()
        self._write_header(msgspec.structs.replace(self.header, finished=digest))

    def discard(self) -> None:
        """Throw away all there is."""
        self._close()
        for path in (self._header_path, self._map_path, self.data):
            remove(path)
        self.header, self._done, self.resumed = None, bytearray(), 0

    def close(self) -> None:
        """Keep what is there for the next pull."""
        self._close()

    def _close(self) -> None:
        if self._map >= 0:
            os.close(self._map)
            self._map = -1

    def _write_header(self, header: Header) -> None:
        beside = self._header_path.with_suffix(".new")
        beside.write_bytes(msgspec.json.encode(header))
        beside.replace(self._header_path)
        self.header = header


def boot_id() -> str:
    """Which boot of the machine this is; `?` where the system does not say."""
    with suppress(OSError):
        return BOOT.read_text().strip()
    return "?"
