"""Whether there is room on the disk, and what to say where there is none."""

import errno
import shutil
from pathlib import Path

from sensorium.core.errors import UnavailableError
from sensorium.models.catalogue.partial import unwritable
from sensorium.models.hub.selection import size_text

NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})
MARGIN = 1 << 20
"""For the folders, the map and the manifest."""


def check_room(folder: Path, needed: int) -> None:
    """See that so many bytes more find room.

    Raises:
        UnavailableError: they do not; says how much is missing.
    """
    free = shutil.disk_usage(folder).free
    if needed and needed + MARGIN > free:
        raise no_room(needed, needed + MARGIN - free)


def no_room(needed: int = 0, missing: int = 0) -> UnavailableError:
    """What to say where the disk is full."""
    much = f": {size_text(needed)} are needed, {size_text(missing)} are missing" if needed else ""
    return UnavailableError(
        f"there is no room on the disk for the model{much}. Free some, or set another folder",
        details={"reason": "no_room", "needed_bytes": needed, "missing_bytes": missing},
    )


def disk_problem(error: OSError) -> UnavailableError:
    """What to say where writing failed."""
    return no_room() if error.errno in NO_ROOM else unwritable(error)
