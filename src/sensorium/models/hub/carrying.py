"""What users put into a fetched model's folder: it stays there when the model is fetched anew."""

import os
import secrets
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath

from sensorium.core.errors import ConflictError
from sensorium.models.catalogue.manifest import FILE, read_manifest
from sensorium.models.catalogue.partial import remove

SHOWN = 10
"""At most so many names are told."""
BLOCK = 1 << 20


def own_paths(folder: Path) -> list[str]:
    """The paths below a folder, hidden ones too, that its manifest does not name.

    They are files and links; a folder is there by what is in it.

    Raises:
        OSError: it cannot be read.
    """
    if not folder.is_dir():
        return []
    manifest = read_manifest(folder)
    named = manifest.by_path.keys() if manifest else ()
    return [path for path in _walk(folder, "") if path not in named and not _is_manifest(path)]


def refuse_clashes(own: Sequence[str], paths: Collection[str]) -> None:
    """See that a model's files go where none of the user's is.

    Raises:
        ConflictError: one is; says which.
    """
    files, folders = set(paths), {above for path in paths for above in _above(path)}
    clashes = [
        path
        for path in own
        if path in files or path in folders or not files.isdisjoint(_above(path))
    ]
    if clashes:
        more = f" and {len(clashes) - SHOWN} more" if len(clashes) > SHOWN else ""
        raise ConflictError(
            "files of yours lie in the model's folder where its own are to go: "
            f"{', '.join(clashes[:SHOWN])}{more}. Move or rename them first",
            details={"files": clashes[:SHOWN]},
        )


def take_over(source: Path, placed: Path, check: Callable[[], None]) -> None:
    """Have a file in another place too, without a copy where that can be; a link stays a link.

    A copy calls `check` for every MiB.

    Raises:
        OSError: it cannot be read, or the copy cannot be written.
    """
    placed.parent.mkdir(parents=True, exist_ok=True)
    remove(placed)
    if source.is_symlink():
        placed.symlink_to(os.readlink(source))
        return
    try:
        os.link(source, placed)
    except OSError:
        with source.open("rb") as old, placed.open("wb") as new:
            while data := old.read(BLOCK):
                check()
                new.write(data)


def bring_after(old: Path, new: Path) -> None:
    """Move what users put into a folder until it was replaced into the one that replaced it.

    What is there by now stays, unless it is an older state of the same. A file whose name the model
    has taken meanwhile gets another one.

    Raises:
        OSError: it cannot be moved.
    """
    manifest = read_manifest(new)
    named = manifest.by_path.keys() if manifest else ()
    for path in own_paths(old):
        late, placed = old / path, new / path
        aside = new / f"{path.replace('/', '-')}.{secrets.token_hex(4)}"
        if path in named:
            late.replace(aside)
        elif not os.path.lexists(placed) or _is_newer(late, placed):
            _move(late, placed, aside)


def _move(source: Path, placed: Path, otherwise: Path) -> None:
    try:
        placed.parent.mkdir(parents=True, exist_ok=True)
        source.replace(placed)
    except OSError:  # there is a folder of that name, or a file where its folder would be
        source.replace(otherwise)


def _walk(folder: Path, prefix: str) -> Iterator[str]:
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(folder / entry.name, f"{prefix}{entry.name}/")
            else:
                yield prefix + entry.name


def _is_manifest(path: str) -> bool:
    """Whether it is the folder's manifest, or one that was being written."""
    return path == FILE or path.startswith(f".{FILE}.")


def _above(path: str) -> list[str]:
    """The folders that a path lies in."""
    return [str(folder) for folder in PurePosixPath(path).parents][:-1]


def _is_newer(one: Path, other: Path) -> bool:
    with suppress(OSError):
        return one.lstat().st_mtime_ns > other.lstat().st_mtime_ns
    return False
