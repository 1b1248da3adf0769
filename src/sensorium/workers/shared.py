"""Memory that the server and a worker both see: large bytes cross with one copy, or none.

Each direction has an arena of its own. Whoever sends allocates in it, so that the two processes
need no lock between them, and tells the other the region by whatever message it likes.
"""

import mmap
import os
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import TypeAlias

Region: TypeAlias = tuple[int, int]
"""Where bytes lie in an arena: offset and size."""
SIZE = 1 << 30
"""Bytes of an arena. They are only an address range until they are written to."""
PAGE = 4096
KEPT = 64 << 20
"""So many bytes stay with an arena that is empty again; what it grew to beyond is given back."""


class Arena:
    """A range of shared memory. `put` and `free` are its sender's, `view` its receiver's."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._memory = mmap.mmap(descriptor, SIZE)
        self._view = memoryview(self._memory)
        self._lock = threading.Lock()
        self._gaps: list[Region] = [(0, SIZE)]
        self._highest = 0

    @classmethod
    def create(cls) -> "Arena | None":
        """A new arena; None on a system that has none to offer."""
        if not hasattr(os, "memfd_create"):
            return None
        descriptor = os.memfd_create("sensorium")
        os.ftruncate(descriptor, SIZE)
        return cls(descriptor)

    def put(self, data: bytes | bytearray | memoryview) -> Region | None:
        """Copy bytes in; None where there is no room for them now. Safe from any thread."""
        wanted = -(-len(data) // PAGE) * PAGE
        with self._lock:
            offset = self._allocate(wanted)
        if offset is None:
            return None
        self._view[offset : offset + len(data)] = data
        return offset, len(data)

    def view(self, region: Region) -> memoryview:
        """The bytes of a region, uncopied: good until its sender frees it."""
        offset, size = region
        if not (0 <= offset <= SIZE - size and size >= 0):
            raise ValueError("the region lies outside of the arena")
        return self._view[offset : offset + size].toreadonly()

    def free(self, regions: Sequence[Region]) -> None:
        """Let regions be used again. Safe from any thread."""
        with self._lock:
            for offset, size in regions:
                self._insert(offset, -(-size // PAGE) * PAGE)
            if self._gaps == [(0, SIZE)] and self._highest > KEPT:
                self._memory.madvise(mmap.MADV_REMOVE, 0, self._highest)
                self._highest = 0

    def close(self) -> None:
        """Give the memory back; views that are still held keep it until they go."""
        self._view.release()
        with suppress(BufferError):  # somebody still reads
            self._memory.close()
        os.close(self.descriptor)

    def _allocate(self, wanted: int) -> int | None:
        for index, (offset, size) in enumerate(self._gaps):
            if size >= wanted:
                if size == wanted:
                    del self._gaps[index]
                else:
                    self._gaps[index] = (offset + wanted, size - wanted)
                self._highest = max(self._highest, offset + wanted)
                return offset
        return None

    def _insert(self, offset: int, size: int) -> None:
        """Add a gap, joined with its neighbours."""
        if not size:
            return
        index = next((i for i, gap in enumerate(self._gaps) if gap[0] > offset), len(self._gaps))
        self._gaps.insert(index, (offset, size))
        for left in (index, index - 1):
            if 0 <= left < len(self._gaps) - 1:
                (start, length), (after, more) = self._gaps[left : left + 2]
                if start + length == after:
                    self._gaps[left : left + 2] = [(start, length + more)]
