"""Small files of the kernel: whatever is wrong with one, it says nothing and never fails."""

import os
import re
import stat
from pathlib import Path

LIMIT_BYTES = 1 << 16
MOST_ENTRIES = 4096
_NUMBER = re.compile(r"[0-9]{1,19}")
_LARGEST = 2**63 - 1
_RANGE = re.compile(r"([0-9]{1,6})(?:-([0-9]{1,6}))?")
_MOST_CORES = 1 << 16
_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_NONBLOCK", 0)  # a pipe in the place of a file must not be waited for
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)


def text(path: Path, limit_bytes: int = LIMIT_BYTES) -> str:
    """What a file holds, its first `limit_bytes` at most; empty where it cannot be read."""
    try:
        descriptor = os.open(path, _FLAGS)
    except (OSError, ValueError):
        return ""
    try:
        return _read(descriptor, limit_bytes).decode(errors="replace")
    except OSError:
        return ""
    finally:
        os.close(descriptor)


def _read(descriptor: int, limit_bytes: int) -> bytes:
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        return b""
    pieces: list[bytes] = []
    left = limit_bytes
    while left > 0 and (piece := os.read(descriptor, left)):
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)


def word(path: Path) -> str:
    """What a file of one line holds, printable and short; else nothing."""
    line = text(path, 4096).strip().strip("\0")
    return line if len(line) <= 256 and line.isprintable() else ""


def number(path: Path) -> int | None:
    """The whole number that a file holds, from 0 to the largest int64."""
    return whole(text(path, 64))


def whole(found: str) -> int | None:
    """The whole number that a text is, from 0 to the largest int64."""
    found = found.strip()
    if not _NUMBER.fullmatch(found):
        return None
    value = int(found)
    return value if value <= _LARGEST else None


def pairs(found: str, separator: str = ":") -> dict[str, str]:
    """Lines of `name: value`; of a name that comes twice, the first."""
    values: dict[str, str] = {}
    for line in found.splitlines():
        name, sign, value = line.partition(separator)
        if sign:
            values.setdefault(name.strip(), value.strip())
    return values


def entries(path: Path) -> list[str]:
    """The names in a folder, sorted; none where it cannot be read."""
    try:
        return sorted(os.listdir(path))[:MOST_ENTRIES]
    except (OSError, ValueError):
        return []


def exists(path: Path) -> bool:
    """Whether something of that name is there."""
    try:
        os.stat(path)
    except (OSError, ValueError):
        return False
    return True


def numbered(found: str) -> set[int]:
    """The numbers of a list such as `0-3,8`; those that make sense."""
    numbers: set[int] = set()
    for part in found.strip().split(","):
        match = _RANGE.fullmatch(part.strip())
        if match is None:
            continue
        first, last = int(match[1]), int(match[2] or match[1])
        numbers.update(range(first, min(last, _MOST_CORES) + 1))
    return numbers
