"""What a fetched model's folder says of itself, in its `sensorium.json`."""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from sensorium.core.types import Count
from sensorium.models.artifact import Format
from sensorium.models.catalogue.paths import is_safe
from sensorium.models.catalogue.projectors import is_projector

FILE = "sensorium.json"
MAX_BYTES = 32 << 20


class ManifestFile(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A file of the folder."""

    path: str
    size: Count
    sha256: str
    verified: bool = False
    """Whether its source said beforehand what it would hash to."""
    blob: str = ""
    """The git blob id that the hub names it by, where that is all that the hub knows."""
    revision: str = ""
    """The commit that it was fetched at."""
    etag: str = ""


class Entry(Struct, frozen=True, kw_only=True):
    """A model of the folder: `path` is its file, or its folder (`""`: the whole)."""

    format: Format
    path: str
    weights: tuple[str, ...]
    """The files without which it cannot be loaded."""
    files: tuple[str, ...]
    """Those and what goes with them."""

    @property
    def hashed(self) -> tuple[str, ...]:
        """The files that its digest is of: all where it is a folder."""
        return self.files if self.format == "transformers" else self.weights

    @property
    def named(self) -> tuple[str, ...]:
        """The files that a hash given with its name is of: the weights without a projector."""
        return tuple(path for path in self.weights if not is_projector(path))


class Manifest(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where a folder's files come from; the first entry is meant where none is named."""

    schema: Annotated[int, Meta(ge=1)] = 1
    source: str
    """`hf://org/name`, an address without its query, or `file:` and a mark of the path."""
    requested: str = ""
    """The branch, tag or commit that was asked for."""
    revision: str = ""
    licence: str = ""
    task: str = ""
    entries: tuple[Entry, ...]
    files: tuple[ManifestFile, ...]
    fetched_at: float
    """Seconds since 1970."""

    @property
    def full_source(self) -> str:
        """The source with its revision."""
        return f"{self.source}@{self.revision}" if self.revision else self.source

    @property
    def by_path(self) -> dict[str, ManifestFile]:
        """The files by their paths."""
        return {file.path: file for file in self.files}


def read_manifest(folder: Path) -> Manifest | None:
    """A folder's manifest; None where there is none that can be trusted."""
    try:
        with (folder / FILE).open("rb") as file:
            found = msgspec.json.decode(file.read(MAX_BYTES), type=Manifest)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return None
    known = found.by_path.keys()
    named = {path for entry in found.entries for path in (*entry.weights, *entry.files)}
    folders = {entry.path for entry in found.entries if entry.path and entry.path not in known}
    safe = all(is_safe(path) for path in (*known, *folders))
    return found if found.entries and safe and named <= known else None


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Put a manifest into a folder, whole or not at all."""
    beside = folder / f".{FILE}.{os.getpid()}"
    with beside.open("wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    beside.replace(folder / FILE)


def joint_digest(digests: Mapping[str, str]) -> str:
    """The digest of a model by those of its files: a single file's own, else that of their list.

    The list has a line `sha256  path` for each file, sorted by path, as `sha256sum` writes it.
    """
    if len(digests) == 1:
        return next(iter(digests.values()))
    lines = "".join(f"{digests[path]}  {path}\n" for path in sorted(digests))
    return hashlib.sha256(lines.encode()).hexdigest()
