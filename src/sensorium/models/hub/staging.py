"""Putting a model together beside the others, and into their midst in one step."""

import os
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path

import msgspec

from sensorium.models.catalogue.digests import nothing
from sensorium.models.catalogue.manifest import FILE, Manifest, write_manifest
from sensorium.models.catalogue.partial import (
    PARTIAL,
    discard,
    lock_of,
    partial_folder,
    remove,
    take,
)
from sensorium.models.hub.carrying import bring_after, own_paths, refuse_clashes, take_over
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
        self._leaving = self._base / "leaving"

    def prepare(self) -> None:
        """Make the folders.

        Raises:
            OSError: they cannot be made.
        """
        self.recover()
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

    def refuse_clashes(self, paths: Collection[str]) -> None:
        """See that files can go to these paths of the model's folder, see `refuse_clashes`."""
        refuse_clashes(own_paths(self.target), paths)

    def reuse(self, path: str, check: Callable[[], None]) -> None:
        """Take a file of the present model over, see `take_over`."""
        take_over(self.target / path, self.tree / path, check)

    def clear(self) -> None:
        """Throw away what was put together so far.

        Raises:
            OSError: the folder of a model that was being replaced cannot be brought to rest.
        """
        self.recover()
        remove(self._base)

    def publish(self, manifest: Manifest, check: Callable[[], None] = nothing) -> None:
        """Make what is in the tree the model. Whoever has the old one loaded keeps it.

        What the old one's manifest does not name is of the user and comes along. Whatever ends
        this, `recover` finds the one folder or the other, and the user's files.

        Raises:
            ConflictError: a file of the user lies where one of the model is to go.
            OSError: the disk fails; then the old one is still there.
        """
        write_manifest(self.tree, manifest)
        replaces = os.path.lexists(self.target)
        if replaces:
            self._carry(manifest, check)
        for folder in {self.tree, *(path.parent for path in self.tree.rglob("*"))}:
            _sync(folder)
        if replaces:
            self._replace()
        else:
            self.tree.rename(self.target)
        _sync(self._root)
        self.recover()
        discard(self._root, self._base)

    @property
    def is_replacing(self) -> bool:
        """Whether one folder is taking the place of the other, or was when a pull was killed."""
        return os.path.lexists(self._leaving)

    def recover(self) -> None:
        """Bring to an end what was under way when a pull was killed while one replaced the other.

        Raises:
            OSError: that cannot be done.
        """
        if not self.is_replacing:
            return
        if not os.path.lexists(self.target):
            self._leaving.rename(self.target)
            return
        if not self._leaving.is_symlink():
            bring_after(self._leaving, self.target)
        discard(self._root, self._base)

    def _carry(self, manifest: Manifest, check: Callable[[], None]) -> None:
        own = own_paths(self.target)
        taken = [path for path in own if os.path.lexists(self.tree / path)]
        refuse_clashes(own, (*manifest.by_path, *taken))
        for path in own:
            take_over(self.target / path, self.tree / path, check)

    def _replace(self) -> None:
        """Swap the tree and the present folder, which leaves. Both hold the user's files.

        What leaves is thrown away only by `recover`, which looks through it before.
        """
        self.tree.rename(self._leaving)
        if exchange(self._leaving, self.target):
            return
        self._leaving.rename(self.tree)
        self.target.rename(self._leaving)
        try:
            self.tree.rename(self.target)
        except OSError:
            self.recover()
            raise

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
            elif path.name[0] != ".":
                _sweep(root, path, forgotten=now - path.stat().st_mtime > FORGOTTEN_S)


def is_empty(folder: Path) -> bool:
    """Whether there is nothing of a model in a folder, which need not exist."""
    try:
        return not any(name != FILE for name in os.listdir(folder))
    except FileNotFoundError:
        return True
    except OSError:
        return False


def _sweep(root: Path, base: Path, *, forgotten: bool) -> None:
    staging = Staging(root, base.name)
    if not (forgotten or staging.is_replacing):
        return
    lock = lock_of(root, base.name)
    if take(lock):
        try:
            with suppress(OSError):
                staging.recover()
                if forgotten:
                    remove(base)
        finally:
            lock.release()


def _sync(folder: Path) -> None:
    """Have a folder's names on the disk, where the file system knows how."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
