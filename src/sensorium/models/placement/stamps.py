"""Whether a model's files are still those that were loaded."""

from collections.abc import Iterable
from pathlib import Path

from sensorium.models.catalogue.folders import PRIVATE, files_in, recognised

Stamp = tuple[int, int, int]
"""Size in bytes, time of the last change in nanoseconds, and inode."""
Stamps = dict[Path, Stamp | None]
"""None for a file that is gone."""


def stamps_of(path: Path, projector: Path | None = None) -> Stamps:
    """Those of a model's files: of all in its folder, or of a file with its shards and weights.

    A projector may lie in the folder above.
    """
    more = {} if projector is None else {projector: _stamp(projector)}
    try:
        return {each: _stamp(each) for each in _files(path)} | more
    except OSError:
        return {path: None}


def are_same(stamps: Stamps) -> bool:
    """Whether each of these files is as it was; new ones beside them change nothing."""
    return all(_stamp(path) == stamp for path, stamp in stamps.items())


def _files(path: Path) -> Iterable[Path]:
    if path.is_dir():
        return [path / each for each in files_in(path) if each not in PRIVATE]
    folder = path.parent
    for model in recognised(folder, files_in(folder)):
        if model.path == path.name:
            return [folder / each for each in model.weights]
    return [path]


def _stamp(path: Path) -> Stamp | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_size, stat.st_mtime_ns, stat.st_ino
