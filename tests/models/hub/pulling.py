"""What the tests of pulls share."""

import random
from collections.abc import Callable
from pathlib import Path

from sensorium.models.hub.place import Place
from sensorium.models.hub.progress import PullOutcome, PullProgress
from sensorium.models.hub.pull import pull


def never() -> None:
    """A caller who waits for ever."""


def noise(size: int, seed: int = 0) -> bytes:
    """Bytes that are the same each time and nowhere twice."""
    return random.Random(seed).randbytes(size)


def pulled(
    reference: str, place: Place, *, sha256: str = "", check: Callable[[], None] = never
) -> PullOutcome:
    """The outcome of a pull."""
    return all_of(reference, place, sha256=sha256, check=check)[1]


def all_of(
    reference: str, place: Place, *, sha256: str = "", check: Callable[[], None] = never
) -> tuple[list[PullProgress], PullOutcome]:
    """Everything that a pull tells, and its outcome."""
    told = list(pull(reference, place, check=check, sha256=sha256))
    assert told[-1].outcome is not None
    assert all(item.outcome is None for item in told[:-1])
    return told, told[-1].outcome


def content(folder: Path) -> dict[str, bytes]:
    """The files of a folder but for the manifest."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "sensorium.json"
    }


def leftovers(place: Place) -> list[str]:
    """What lies in the folder of partial downloads, but for the locks."""
    partial = place.cache / ".partial"
    found = (path.relative_to(partial).as_posix() for path in partial.rglob("*"))
    return sorted(name for name in found if not name.startswith(".locks"))
