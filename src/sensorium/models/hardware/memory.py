"""Main memory on Linux: what there is, and what of it this process may have."""

from pathlib import Path

from sensorium.models.hardware import files
from sensorium.models.hardware.cgroups import Limits
from sensorium.models.hardware.schema import Memory, MemoryNow


def read(root: Path, limits: Limits) -> Memory:
    """The memory of the machine below `root`, under these limits."""
    told = files.pairs(files.text(root / "proc/meminfo"))
    free = _bytes(told, "MemAvailable")
    return bounded(
        total=_bytes(told, "MemTotal"),
        available=_bytes(told, "MemFree") if free is None else free,
        swap=_bytes(told, "SwapTotal"),
        swap_free=_bytes(told, "SwapFree"),
        limits=limits,
    )


def bounded(
    *,
    total: int | None,
    available: int | None,
    swap: int | None,
    swap_free: int | None,
    limits: Limits,
) -> Memory:
    """Memory under a container's limits."""
    limit = limits.memory_bytes
    if limit is not None and total is not None and limit >= total:
        limit = None
    used = None if limit is None else limits.memory_used_bytes
    left = None if limit is None else limit - min(used or 0, limit)
    return Memory(
        total_bytes=total,
        limit_bytes=limit,
        usable_bytes=_least(total, limit),
        swap_bytes=swap,
        now=MemoryNow(
            available_bytes=_least(available, left),
            limit_used_bytes=used,
            swap_free_bytes=swap_free,
        ),
    )


def _bytes(told: dict[str, str], name: str) -> int | None:
    number = files.whole(told.get(name, "").removesuffix("kB"))
    return None if number is None or number >> 53 else number * 1024


def _least(*values: int | None) -> int | None:
    return min((value for value in values if value is not None), default=None)
