"""Putting a model together beside the others, and into their midst in one step."""

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec

from sensorium.models.catalogue.manifest import FILE, Manifest, write_manifest
from sensorium.models.catalogue.partial import (
    PARTIAL,
    discard,
    lock_of,
    partial_folder,
    remove,
    take,
)
from sensorium.models.hub.kernel import exchange
from sensorium.models.hub.progress import PullProgress

FORGOTTEN_S = 14 * 86_400
"""What a pull left is taken away when nobody went on with it for so long."""


class Staging:
    """Where one model is put together. Whoever uses it holds the model's lock."""

    def __init__(self, root: Path, folder: str) -> None:
        self._root = root
        self._base = partial_folder(root, folder)
        self.target = root / folder
        self.parts = self._base / "parts"
        self.tree = self._base / "tree"

    def prepare(self) -> None:
        """Make the folders.

        Raises:
            OSError: they cannot be made.
        """
        self.parts.mkdir(parents=True, exist_ok=True)
        self.tree.mkdir(exist_ok=True)
        os.utime(self._base)

    def keep_only(self, parts: set[str], files: set[str]) -> None:
        """Take away what another pull left that is of no use for this one."""
        for path in self.parts.iterdir():
            if path.name not in parts:
                remove(path)
        for path in sorted(self.tree.rglob("*"), reverse=True):
            name = path.relative_to(self.tree).as_posix()
            if name not in files and not any(file.startswith(f"{name}/") for file in files):
                remove(path)

    def reuse(self, path: str, check: Callable[[], None]) -> None:
        """Take a file of the present model over, without a copy where that can be.

        A copy calls `check` for every MiB.

        Raises:
            OSError: it cannot be read, or the copy cannot be written.
        """
        placed = self.tree / path
        placed.parent.mkdir(parents=True, exist_ok=True)
        remove(placed)
        try:
            os.link(self.target / path, placed)
        except OSError:
            with (self.target / path).open("rb") as old, placed.open("wb") as new:
                while data := old.read(1 << 20):
                    check()
                    new.write(data)

    def clear(self) -> None:
        """Throw away what was put together so far."""
        remove(self._base)

    def publish(self, manifest: Manifest) -> None:
        """Make what is in the tree the model. Whoever has the old one loaded keeps it.

        Raises:
            OSError: the disk fails; then the old one is still there.
        """
        write_manifest(self.tree, manifest)
        for folder in {self.tree, *(self.tree / file.path for file in manifest.files)}:
            _sync(folder if folder.is_dir() else folder.parent)
        if self.target.is_symlink() or self.target.exists():
            if not exchange(self.tree, self.target):
                discard(self._root, self.target)
                self.tree.rename(self.target)
        else:
            self.tree.rename(self.target)
        _sync(self._root)
        remove(self._base)

    def tell(self, progress: PullProgress) -> None:
        """Let others who wait for the same model see how far it is."""
        with suppress(OSError):
            beside = self._base / "progress.new"
            beside.write_bytes(msgspec.json.encode(progress))
            beside.replace(self._base / "progress.json")

    def told(self) -> PullProgress | None:
        """What whoever fetches it told last."""
        try:
            told = (self._base / "progress.json").read_bytes()
            return msgspec.json.decode(told, type=PullProgress)
        except (OSError, msgspec.MsgspecError):
            return None


def sweep(root: Path) -> None:
    """Take away what was thrown away, and what was begun and then forgotten."""
    now = time.time()
    with suppress(OSError):
        for path in (root / PARTIAL).iterdir():
            if path.name.startswith(".trash-"):
                remove(path)
            elif path.name[0] != "." and now - path.stat().st_mtime > FORGOTTEN_S:
                lock = lock_of(root, path.name)
                if take(lock):
                    remove(path)
                    lock.release()


def is_empty(folder: Path) -> bool:
    """Whether there is nothing of a model in a folder, which need not exist."""
    try:
        return not any(name != FILE for name in os.listdir(folder))
    except FileNotFoundError:
        return True
    except OSError:
        return False


def _sync(folder: Path) -> None:
    """Have a folder's names on the disk, where the file system knows how."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
