"""Two calls of Linux that Python has no name for; elsewhere they do nothing, and say so."""

import ctypes
import os
from pathlib import Path

_AT_FDCWD, _RENAME_EXCHANGE = -100, 2
_SYNC_FILE_RANGE_WRITE = 2
_LIBRARY = ctypes.CDLL(None, use_errno=True) if os.name == "posix" else None


def exchange(one: Path, other: Path) -> bool:
    """Swap two folders in one step; False where the system cannot."""
    rename = getattr(_LIBRARY, "renameat2", None)
    if rename is None:
        return False
    names = os.fsencode(one), os.fsencode(other)
    done: int = rename(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE)
    return done == 0


def start_writing(descriptor: int, start: int, count: int) -> None:
    """Have a stretch of a file written to the disk by and by, so that a later sync is short."""
    begin = getattr(_LIBRARY, "sync_file_range", None)
    if begin is not None:
        begin(descriptor, ctypes.c_int64(start), ctypes.c_int64(count), _SYNC_FILE_RANGE_WRITE)
