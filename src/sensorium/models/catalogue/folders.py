"""The models that one folder holds, as its manifest says or as its files show."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sensorium.models.artifact import Format
from sensorium.models.catalogue.digests import Stamp, stamp_of
from sensorium.models.catalogue.manifest import FILE, Entry, Manifest, read_manifest
from sensorium.models.catalogue.paths import is_safe
from sensorium.models.catalogue.recognition import REMOTE, Found, models_among, weights_of

MAX_FILES = 10_000
MAX_DEPTH = 5
MAX_TREES = 32
PRIVATE = (FILE, REMOTE)
"""Files of a folder that are for this server alone: the latter may hold a key."""
TREE = b"tree"
"""How a LightGBM model begins."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A model in a folder; paths are relative to `folder`."""

    folder: Path
    version: str
    format: Format
    path: str
    variant: str
    usual: bool
    """Meant where no variant is named."""
    files: dict[str, Stamp]
    """The files that make its digest."""
    size: int
    manifest: Manifest | None = None


def models_in(folder: Path) -> list[Listed]:
    """The models of a folder, the highest version first; empty where it holds none.

    Raises:
        OSError: the folder cannot be read.
    """
    manifest = read_manifest(folder)
    if manifest is not None:
        return list(_fetched(folder, manifest))
    versions = sorted((n for n in os.listdir(folder) if _is_version(folder, n)), key=int)
    found: list[Listed] = []
    for version in reversed(versions):
        found += _found(folder / version, str(int(version)))
    return found or _found(folder, "1")


def files_in(folder: Path) -> dict[str, Stamp]:
    """The visible files below a folder by their relative paths; folders are not entered by links.

    Raises:
        OSError: the folder itself cannot be read.
    """
    files: dict[str, Stamp] = {}
    _walk(folder, "", files)
    return files


def files_beside(path: Path) -> dict[str, Stamp]:
    """The files that a model needs which is one file: itself, its shards, its external data.

    Nothing below their folder is looked at, which may be anybody's.

    Raises:
        OSError: the folder cannot be read.
    """
    names = [name for name in os.listdir(path.parent) if is_safe(name)]
    wanted = (weights_of(path.name, names) or ()) if path.name in names else ()
    stamps = {name: _stamp(path.parent / name) for name in wanted}
    return {name: stamp for name, stamp in stamps.items() if stamp is not None}


def is_tree(path: Path) -> bool:
    """Whether a text file is a LightGBM model."""
    try:
        with path.open("rb") as file:
            return file.read(len(TREE)) == TREE
    except OSError:
        return False


def recognised(folder: Path, files: dict[str, Stamp]) -> list[Found]:
    """The models that the files of a folder are; the content decides where names do not."""
    texts = [path for path in sorted(files) if path.endswith(".txt") and "/" not in path]
    trees = [path for path in texts[:MAX_TREES] if is_tree(folder / path)]
    return models_among(files, trees)


def offered_paths(models: Sequence[Listed], *, whole: bool) -> list[str]:
    """The paths of what belongs to some models of one folder; `whole`: they are all it holds.

    A model that another server runs has none.

    Raises:
        OSError: the folder cannot be read.
    """
    paths: set[str] = set()
    for model in models:
        if model.format == "remote":
            continue
        if model.manifest is not None:
            entries = [entry for entry in model.manifest.entries if entry.path == model.path]
            paths.update(path for entry in entries for path in entry.files)
        elif whole or model.usual:
            paths.update(files_in(model.folder))
        else:
            paths.update(model.files)
    return sorted(paths)


def inside(folder: Path, base: Path, path: str) -> Path | None:
    """The file at a path below `base`, if it lies in `folder` and is neither hidden nor private."""
    if not is_safe(path):
        return None
    try:
        whole = folder.resolve(strict=True)
        found = (base / path).resolve(strict=True)
    except (OSError, RuntimeError):
        return None
    stays = found.is_relative_to(whole) and is_safe(found.relative_to(whole).as_posix())
    return found if stays and found.name.lower() not in PRIVATE and found.is_file() else None


def _fetched(folder: Path, manifest: Manifest) -> Iterator[Listed]:
    sizes = {file.path: file.size for file in manifest.files}
    for place, entry in enumerate(manifest.entries):
        stamps = {path: _stamp(folder / path) for path in entry.hashed}
        if any(stamp is None for stamp in stamps.values()):
            continue
        yield Listed(
            folder=folder,
            version="1",
            format=entry.format,
            path=entry.path,
            variant=_variant(entry),
            usual=place == 0,
            files={path: stamp for path, stamp in stamps.items() if stamp is not None},
            size=sum(sizes[path] for path in entry.files),
            manifest=manifest,
        )


def _found(folder: Path, version: str) -> list[Listed]:
    files = files_in(folder)
    found = recognised(folder, files)
    if found and found[0].format == "transformers":
        found = [Found("transformers", found[0].path, tuple(files))]
    alone = len(found) == 1
    return [
        Listed(
            folder=folder,
            version=version,
            format=model.format,
            path=model.path,
            variant=model.variant,
            usual=alone,
            files={path: files[path] for path in model.weights},
            size=sum(files[path][0] for path in (files if alone else model.weights)),
        )
        for model in found
    ]


def _variant(entry: Entry) -> str:
    return Found(entry.format, entry.path, entry.weights).variant


def _is_version(folder: Path, name: str) -> bool:
    return name.isascii() and name.isdigit() and len(name) < 19 and (folder / name).is_dir()


def _stamp(path: Path) -> Stamp | None:
    try:
        return stamp_of(path)
    except OSError:
        return None


def _walk(folder: Path, prefix: str, files: dict[str, Stamp]) -> None:
    with os.scandir(folder) as entries:
        for entry in entries:
            path = prefix + entry.name
            if len(files) >= MAX_FILES or not is_safe(path):
                continue
            if entry.is_dir(follow_symlinks=False):
                if path.count("/") < MAX_DEPTH:
                    _walk_further(folder / entry.name, f"{path}/", files)
            elif (folder / entry.name).is_file():  # the entry's own fails for a link in a circle
                stamp = _stamp(folder / entry.name)
                if stamp is not None:
                    files[path] = stamp


def _walk_further(folder: Path, prefix: str, files: dict[str, Stamp]) -> None:
    try:
        _walk(folder, prefix, files)
    except OSError:
        return
