"""The folder of what is not a model yet, or not any more: `.partial` beside the models."""

import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sensorium.core.errors import ConflictError, UnavailableError
from sensorium.core.loading import load

PARTIAL = ".partial"


def unwritable(error: OSError) -> UnavailableError:
    """What to say when a change of the folder of models fails."""
    return UnavailableError(
        f"the folder of models cannot be written to ({error.strerror}): "
        "set another one, or its permissions",
        details={"reason": "unwritable"},
    )


def partial_folder(root: Path, folder: str) -> Path:
    """Where a model is put together before it is listed; need not exist."""
    return root / PARTIAL / folder


def lock_of(root: Path, folder: str) -> Any:
    """The lock that whoever changes a model's folder holds: a `filelock.FileLock`, not yet taken.

    Raises:
        UnavailableError: the folder of models cannot be written to.
    """
    try:
        (root / PARTIAL / ".locks").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(error) from error
    path = root / PARTIAL / ".locks" / folder
    # A hold belongs to the object, so that a generator may be resumed on another thread.
    return load("filelock:FileLock")(path, mode=0o600, thread_local=False)


def take(lock: Any) -> bool:
    """Take the lock if nobody holds it.

    Raises:
        UnavailableError: the folder of models cannot be written to.
    """
    try:
        lock.acquire(blocking=False)
    except TimeoutError:
        return False
    except OSError as error:
        raise unwritable(error) from error
    return True


@contextmanager
def changing(root: Path, folder: str) -> Iterator[None]:
    """Hold the lock of a model that is to be changed at once.

    Raises:
        ConflictError: it is being fetched, or another process changes it.
    """
    lock = lock_of(root, folder)
    if not take(lock):
        raise ConflictError("this model is being fetched or changed; try again when that is done")
    try:
        yield
    finally:
        lock.release()


def discard(root: Path, path: Path) -> None:
    """Take a folder, a link or a file away in one step; what cannot be removed stays unlisted.

    Whoever has a file of it open or mapped keeps it.
    """
    trash = root / PARTIAL / f".trash-{secrets.token_hex(6)}"
    with suppress(FileNotFoundError):
        path.rename(trash)
    remove(trash)


def remove(path: Path) -> None:
    """Remove whatever a path is, if it is."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink(missing_ok=True)
