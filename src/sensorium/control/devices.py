"""The devices whose memory is leased, and what others hold of it."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from sensorium.core.loading import load
from sensorium.models.hardware.schema import MemoryOf

FRESH_S = 2.0
"""How old a reading of a GPU's memory may be; asking its driver takes milliseconds."""
MAIN = "cpu"


@dataclass
class Device:
    """Memory that can be leased. `others` tells what is held on it without a lease."""

    name: str
    total_bytes: int
    others: Callable[[], int] = lambda: 0
    leased_bytes: int = 0

    @property
    def free_bytes(self) -> int:
        """What a lease may have now."""
        return max(0, self.total_bytes - self.leased_bytes - self.others())


class Devices:
    """Tells what there is. `held` are the bytes of main memory that models hold."""

    def __init__(self, held: Callable[[], int]) -> None:
        self._held = held
        self._used: dict[str, int] = {}
        self._read_at = 0.0
        self._reading: asyncio.Task[list[MemoryOf]] | None = None

    async def find(self) -> list[Device]:
        """Every device with memory of its own, and main memory."""
        found = [Device(each.name, each.total_bytes) for each in await self._read()]
        for device in found:
            device.others = self._held if device.name == MAIN else partial(self._others, device)
        return found

    async def look(self) -> None:
        """Read anew what is in use, unless that was done a moment ago."""
        if time.monotonic() - self._read_at >= FRESH_S:
            await self._read()

    def _others(self, device: Device) -> int:
        """What is in use beyond what is leased: whoever leased memory may use it by now."""
        fresh = time.monotonic() - self._read_at < FRESH_S
        if not fresh and (self._reading is None or self._reading.done()):
            self._reading = asyncio.get_running_loop().create_task(self._read())
        return max(0, self._used.get(device.name, 0) - device.leased_bytes)

    async def _read(self) -> list[MemoryOf]:
        found = await asyncio.to_thread(_memories)
        self._used = {each.name: each.used_bytes for each in found}
        self._read_at = time.monotonic()
        return found


def _memories() -> list[MemoryOf]:
    found: list[MemoryOf] = load("sensorium.models.hardware.detect:memories")()
    return found
