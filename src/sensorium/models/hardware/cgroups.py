"""What a container may use: the limits of control groups, of both versions.

A process is in a group of each hierarchy, and the limits of the groups above it bind it too. Where
a hierarchy is mounted, and which of its groups is the mount's root, stands in `mountinfo`; a
container often sees its own group at that place while `/proc/self/cgroup` gives the host's path.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from sensorium.models.hardware import files

UNLIMITED_BYTES = 1 << 60
"""Version 1 writes "no limit" as a number close to 2**63."""
MOST_CORES = 1e6


class Limits(NamedTuple):
    """Cores and bytes; None where there is no limit."""

    cores: float | None = None
    memory_bytes: int | None = None
    memory_used_bytes: int | None = None
    """What counts against the limit and cannot simply be dropped, as page cache can."""


class _Mount(NamedTuple):
    point: str
    root: str
    controllers: frozenset[str]
    """Empty for version 2, which has one hierarchy for all."""


def read(root: Path) -> Limits:
    """The limits of this process."""
    mounts = _mounts(files.text(root / "proc/self/mountinfo", 1 << 20))
    cores: list[float] = []
    memory: list[tuple[int, int | None]] = []
    for controllers, path in _groups(files.text(root / "proc/self/cgroup")):
        for mount in mounts:
            if mount.controllers != controllers and not mount.controllers & controllers:
                continue
            for folder in _folders(root, mount, path):
                if mount.controllers:
                    cores += _cores_v1(folder)
                    memory += _memory_v1(folder)
                else:
                    cores += _cores_v2(folder)
                    memory += _memory_v2(folder)
    limit, used = min(memory, key=lambda each: each[0], default=(None, None))
    return Limits(min(cores, default=None), limit, used)


def _groups(found: str) -> Iterator[tuple[frozenset[str], str]]:
    """Controllers and path of each hierarchy, from lines such as `4:memory:/docker/0a1b`."""
    for line in found.splitlines():
        _, _, rest = line.partition(":")
        names, sign, path = rest.partition(":")
        if sign:
            yield frozenset(filter(None, names.split(","))), path


def _mounts(found: str) -> list[_Mount]:
    """Where hierarchies are mounted; the usual places where nobody tells."""
    mounts = []
    for line in found.splitlines():
        before, _, after = line.partition(" - ")
        place, kind = before.split(), after.split()
        if len(place) < 5 or len(kind) < 3 or kind[0] not in ("cgroup", "cgroup2"):
            continue
        names = kind[2].split(",") if kind[0] == "cgroup" else []
        mounts.append(_Mount(place[4], place[3], frozenset(names)))
    return mounts or [
        _Mount("/sys/fs/cgroup", "/", frozenset()),
        _Mount("/sys/fs/cgroup/cpu", "/", frozenset({"cpu"})),
        _Mount("/sys/fs/cgroup/memory", "/", frozenset({"memory"})),
    ]


def _folders(root: Path, mount: _Mount, path: str) -> Iterator[Path]:
    """The folders of a group and of those above it, as far as they are seen."""
    inside = path == mount.root or path.startswith(mount.root.rstrip("/") + "/")
    below = path.removeprefix(mount.root) if inside else ""
    parts = [part for part in below.split("/") if part not in ("", ".", "..")]
    top = root / mount.point.lstrip("/")
    for count in range(len(parts) + 1):
        yield top.joinpath(*parts[:count])


def _cores_v2(folder: Path) -> Iterator[float]:
    words = files.text(folder / "cpu.max", 64).split()
    if len(words) == 2:
        yield from _share(files.whole(words[0]), files.whole(words[1]))


def _cores_v1(folder: Path) -> Iterator[float]:
    quota = files.number(folder / "cpu.cfs_quota_us")  # -1, which is no such number: no limit
    yield from _share(quota, files.number(folder / "cpu.cfs_period_us"))


def _share(quota_us: int | None, period_us: int | None) -> Iterator[float]:
    if quota_us and period_us:
        yield min(quota_us / period_us, MOST_CORES)


def _memory_v2(folder: Path) -> Iterator[tuple[int, int | None]]:
    limit = files.number(folder / "memory.max")
    if limit is not None and limit < UNLIMITED_BYTES:
        yield limit, _kept(folder, "memory.current", "inactive_file")


def _memory_v1(folder: Path) -> Iterator[tuple[int, int | None]]:
    limit = files.number(folder / "memory.limit_in_bytes")
    if limit is not None and limit < UNLIMITED_BYTES:
        yield limit, _kept(folder, "memory.usage_in_bytes", "total_inactive_file")


def _kept(folder: Path, usage: str, cache: str) -> int | None:
    used = files.number(folder / usage)
    if used is None:
        return None
    droppable = files.whole(files.pairs(files.text(folder / "memory.stat"), " ").get(cache, ""))
    return max(0, used - (droppable or 0))
