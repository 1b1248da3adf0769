"""Hashing files while they arrive, block after block as the gaps before them close."""

import hashlib
import os

from sensorium.core.errors import UnavailableError
from sensorium.models.hub.download import Download
from sensorium.models.hub.journal import BLOCK
from sensorium.models.hub.kernel import start_writing
from sensorium.models.hub.parts import Item
from sensorium.models.hub.room import disk_problem
from sensorium.models.hub.scheduler import Scheduler

STRETCH = 32 * BLOCK
"""How much is given to the disk at a time."""


class Hash:
    """The SHA-256 of a file, and its git blob id where that is what is known of it."""

    def __init__(self, item: Item, size: int) -> None:
        self._item = item
        self._sha256 = hashlib.sha256()
        self._blob = None
        if item.blob and not item.sha256:
            self._blob = hashlib.sha1(f"blob {size}\0".encode(), usedforsecurity=False)

    def update(self, data: memoryview) -> None:
        """Take in the next bytes."""
        self._sha256.update(data)
        if self._blob is not None:
            self._blob.update(data)

    @property
    def digest(self) -> str:
        """The SHA-256."""
        return self._sha256.hexdigest()

    @property
    def actual(self) -> str:
        """What is to be compared with what was known beforehand."""
        return self.digest if self._blob is None else self._blob.hexdigest()

    @property
    def is_right(self) -> bool:
        """Whether it is what was known beforehand, if anything was."""
        return self._item.known_as in ("", self.actual)


def check_files(scheduler: Scheduler) -> None:
    """Hash each file as it arrives and put it in its place; every problem goes to the scheduler."""
    try:
        for download in scheduler.downloads:
            while not scheduler.stopped and not _check(scheduler, download):
                pass
        if not scheduler.stopped:
            scheduler.ended.set()
    except OSError as error:
        scheduler.fail(disk_problem(error))
    except BaseException as error:
        scheduler.fail(error)


def place(download: Download) -> None:
    """Move the data of a finished file to its place, unless it is there."""
    if download.journal.data.exists():
        download.placed.parent.mkdir(parents=True, exist_ok=True)
        download.journal.data.replace(download.placed)


def _check(scheduler: Scheduler, download: Download) -> bool:
    """Whether a file is in its place now; if not, it was begun anew."""
    if download.digest:
        return True
    generation = download.generation
    if scheduler.wait_beyond(download, generation, 0) is None:
        return False
    descriptor = scheduler.open_to_read(download, generation)
    if descriptor is None:
        return False
    digest = Hash(download.item, download.size or 0)
    try:
        if not _hash(scheduler, download, generation, digest, descriptor):
            return False
        if not digest.is_right:
            _refuse(scheduler, download, digest)
            return False
        os.fdatasync(descriptor)
    finally:
        os.close(descriptor)
    if not scheduler.settled(download, generation):
        return False
    download.journal.finish(digest.digest)
    place(download)
    download.digest = digest.digest
    return True


def _hash(
    scheduler: Scheduler, download: Download, generation: int, digest: Hash, descriptor: int
) -> bool:
    """Hash to the end of the file; False where it was begun anew."""
    position = written = 0
    buffer = memoryview(bytearray(BLOCK))
    while (end := scheduler.wait_beyond(download, generation, position)) is not None:
        if end == position:
            return True
        while position < end and scheduler.settled(download, generation):
            count = os.preadv(descriptor, [buffer[: min(BLOCK, end - position)]], position)
            if not count:
                raise OSError("a file became shorter")
            digest.update(buffer[:count])
            position += count
            if position - written >= STRETCH:
                start_writing(descriptor, written, position - written)
                written = position
    return False


def _refuse(scheduler: Scheduler, download: Download, digest: Hash) -> None:
    """Throw a wrong file away; what an earlier pull left may be to blame, so begin once more.

    Raises:
        UnavailableError: all of it was fetched just now.
    """
    resumed = download.journal.resumed
    if not resumed:
        download.journal.discard()
        raise UnavailableError(
            f"{download.item.path} has not the hash that was announced: it was damaged or "
            "replaced on its way, or the hash is of another file. Nothing of it was kept",
            details={
                "reason": "wrong_hash",
                "expected": download.item.known_as,
                "actual": digest.actual,
            },
        )
    scheduler.restart(download)
