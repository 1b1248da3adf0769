"""What this machine can compute with: the one place that asks all sources."""

import platform
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

from sensorium.models.hardware import macos, nvidia, portable, windows
from sensorium.models.hardware.engines import probing
from sensorium.models.hardware.linux import Linux
from sensorium.models.hardware.parts import Check, Parts, unwatched
from sensorium.models.hardware.providers import Machine, told
from sensorium.models.hardware.schema import EngineName, Hardware, MemoryOf, Platform, Provider

PLATFORMS: dict[str, Platform] = {"Linux": "linux", "Windows": "windows", "Darwin": "macos"}


def detect(check: Check = unwatched) -> Hardware:
    """The machine as it is now; the first time takes longer than any after it."""
    parts = _source()(check)
    return Hardware(
        cpu=parts.cpu,
        memory=parts.memory,
        gpus=parts.gpus,
        npus=parts.npus,
        apis=parts.apis,
        providers=told(_machine(parts), partial(probing.ask, check=check)),
        problems=list(parts.problems),
    )


def usable_memory() -> int:
    """Bytes of main memory that this process may have; 0 where nothing tells."""
    return _source()(unwatched).memory.usable_bytes or 0


def memories() -> list[MemoryOf]:
    """The memory of every device that has some, main memory first."""
    parts = _source()(unwatched)
    total = parts.memory.usable_bytes or 0
    free = parts.memory.now.available_bytes
    main = MemoryOf(
        name="cpu", total_bytes=total, used_bytes=0 if free is None else max(0, total - free)
    )
    return [main] + [
        MemoryOf(
            name=f"{gpu.vendor}:{gpu.index}",
            total_bytes=gpu.memory_bytes,
            used_bytes=gpu.now.used_bytes or 0,
        )
        for gpu in parts.gpus
        if gpu.memory_bytes
    ]


def available(engine: EngineName, check: Check = unwatched) -> list[Provider]:
    """The providers of one engine, and which of them are available: what `choose` takes."""
    parts = _linux().seen() if platform.system() == "Linux" else _source()(check)
    return told(_machine(parts), partial(probing.ask, check=check), engine)


def _machine(parts: Parts) -> Machine:
    here = PLATFORMS.get(platform.system(), "linux")
    return Machine(here, parts.cpu.architecture, parts.gpus, parts.npus, parts.apis)


@cache
def _linux() -> Linux:
    return Linux(Path("/"), nvidia.driver())


@cache
def _source() -> Callable[[Check], Parts]:
    """What tells of this machine; it is kept, with what it need not read again."""
    match platform.system():
        case "Linux":
            return _linux().read
        case "Windows":
            return windows.read
        case "Darwin":
            return macos.read
    return portable.read
