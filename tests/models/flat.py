"""Whether a process grows: its memory and its descriptors, looked at again and again."""

import os

import numpy as np
import psutil

MIB = 1 << 20


class Watched:
    """A process under observation, this one unless told otherwise."""

    def __init__(self, pid: int | None = None) -> None:
        self._process = psutil.Process(pid or os.getpid())
        self._resident: list[int] = []

    def look(self) -> None:
        """Note how much memory it holds now."""
        self._resident.append(self._process.memory_info().rss)

    def descriptors(self) -> int:
        """How many it has open."""
        return int(self._process.num_fds())

    def growth_mib(self, skipped: float = 0.3) -> float:
        """MiB that it grew by, on a line laid through what was seen after the first share of it.

        At the beginning everything grows: allocators, caches, what is loaded late.
        """
        seen = np.array(self._resident[int(skipped * len(self._resident)) :]) / MIB
        slope, _ = np.polyfit(np.arange(len(seen)), seen, 1)
        return float(slope * (len(seen) - 1))
