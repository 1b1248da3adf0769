"""Fetching a set of files over several connections at once, each file in ranges.

Threads take parts from one queue; one more thread hashes what has arrived and puts finished files
in their place. Whatever ends a transfer, what came in stays for the next one.
"""

import threading
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from sensorium.core.settings import Secret
from sensorium.models.hub.checking import check_files, place
from sensorium.models.hub.connection import Connections
from sensorium.models.hub.download import Download
from sensorium.models.hub.fetching import fetch_parts
from sensorium.models.hub.parts import Item
from sensorium.models.hub.place import Place
from sensorium.models.hub.room import check_room
from sensorium.models.hub.scheduler import Scheduler
from sensorium.models.hub.soundness import Kept

STOP_S = 0.15
"""How long to wait for threads that were told to stop: less than a cancelled call is given."""


class Transfer:
    """Files on their way into the folder `tree`; the folder `parts` keeps what is not complete.

    The token is for the origin of the address `hub` alone.
    """

    def __init__(
        self,
        items: Sequence[Item],
        parts: Path,
        tree: Path,
        settings: Place,
        token: Secret,
        hub: str,
    ) -> None:
        self._tree = tree
        self._settings = settings
        self._downloads = [
            Download(
                item,
                parts,
                tree / item.path,
                range_bytes=settings.range_bytes,
                connections=settings.connections,
            )
            for item in items
        ]
        self._scheduler = Scheduler(self._downloads, settings.attempts)
        self._connections = [
            Connections(
                connect_s=settings.connect_s,
                stall_s=settings.stall_s,
                token=token.reveal().strip(),
                token_for=hub,
            )
            for _ in range(settings.connections)
        ]
        self._threads: list[threading.Thread] = []

    @property
    def parts_names(self) -> set[str]:
        """The names of its files in the folder of parts."""
        return {name for download in self._downloads for name in download.journal.names}

    @property
    def total_bytes(self) -> int:
        """Bytes of all files, as far as their sizes are known."""
        return sum(download.size or 0 for download in self._downloads)

    @property
    def done_bytes(self) -> int:
        """Bytes that are on disk."""
        return sum(download.received for download in self._downloads)

    @property
    def fresh_bytes(self) -> int:
        """Bytes that came over the network."""
        return self._scheduler.fresh_bytes

    @property
    def current(self) -> tuple[str, bool]:
        """The first file that is not in its place, and whether only its hash is awaited."""
        for download in self._downloads:
            if not download.digest:
                return download.item.path, download.received == download.size
        return "", True

    @property
    def digests(self) -> dict[str, tuple[int, str, str]]:
        """Size, SHA-256 and validator of each file by its path."""
        return {
            download.item.path: (download.size or 0, download.digest, download.etag)
            for download in self._downloads
        }

    @property
    def finished(self) -> list[Kept]:
        """The files that an earlier pull completed."""
        return [
            Kept(download.item.path, download.finished_file, download.size or 0, download.digest)
            for download in self._downloads
            if download.digest
        ]

    def begin_anew(self, paths: Collection[str]) -> None:
        """Fetch some of them again. Before the start."""
        for download in self._downloads:
            if download.item.path in paths:
                self._scheduler.restart(download)

    def start(self) -> None:
        """Begin.

        Raises:
            UnavailableError: there is no room on the disk.
            OSError: the disk fails.
        """
        for download in self._downloads:
            if download.digest:
                place(download)
        check_room(self._tree, sum(_needed(download) for download in self._downloads))
        for connections in self._connections:
            self._spawn(fetch_parts, self._scheduler, connections, self._settings.stall_s)
        self._spawn(check_files, self._scheduler)

    def wait(self, seconds: float) -> bool:
        """Wait at most so long; returns whether all files are in their place.

        Raises:
            SensoriumError: they cannot be had.
        """
        ended = self._scheduler.ended.wait(seconds)
        if self._scheduler.problem is not None:
            raise self._scheduler.problem
        return ended

    def stop(self) -> None:
        """Stop whatever is under way and keep what came in."""
        self._scheduler.stop()
        for connections in self._connections:
            connections.abort()
        until = time.monotonic() + STOP_S
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        self._scheduler.close()

    def _spawn(self, work: Callable[..., None], *arguments: object) -> None:
        # A daemon: one that waits for a name to be looked up cannot be stopped.
        thread = threading.Thread(target=work, args=arguments, name="pull", daemon=True)
        self._threads.append(thread)
        thread.start()


def _needed(download: Download) -> int:
    """Bytes of disk that a file still takes."""
    if download.digest or download.size is None:
        return 0
    try:
        taken = download.journal.data.stat().st_blocks * 512
    except OSError:
        taken = 0
    return max(0, download.size - taken)
