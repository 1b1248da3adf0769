"""Which part of which file is fetched next, and what the threads of a transfer share."""

import os
import random
import threading
import time
from collections.abc import Sequence

from sensorium.core.errors import UnavailableError
from sensorium.models.hub.connection import Answer, Target, TransientError
from sensorium.models.hub.download import Download
from sensorium.models.hub.parts import Part

MAX_RESTARTS = 3
FIRST_PAUSE_S = 0.25
LONGEST_PAUSE_S = 10.0
LOOK_S = 0.5
"""How long a thread without work sleeps at most before it looks again."""


class Scheduler:
    """The files, the queue of their parts, and how it ends; safe from any thread."""

    def __init__(self, downloads: Sequence[Download], attempts: int) -> None:
        self.downloads = downloads
        self.fresh_bytes = 0
        """What came over the network."""
        self.ended = threading.Event()
        """Set when all files are in their place, or one cannot be had."""
        self.problem: BaseException | None = None
        self._attempts = attempts
        self._stopped = False
        self._lock = threading.Lock()
        self._parts_changed = threading.Condition(self._lock)
        self._data_came = threading.Condition(self._lock)
        self._queue: list[tuple[Download, Part]] = []
        for download in downloads:
            if not download.digest:
                self._ask_first(download)

    @property
    def stopped(self) -> bool:
        """Whether the threads are to end."""
        return self._stopped

    def stop(self) -> None:
        """Have the threads end."""
        with self._lock:
            self._stopped = True
            self._parts_changed.notify_all()
            self._data_came.notify_all()

    def close(self) -> None:
        """Let go of the journals, which stay on disk."""
        with self._lock:
            for download in self.downloads:
                download.journal.close()

    def fail(self, problem: BaseException) -> None:
        """End with a problem; the first one counts."""
        with self._lock:
            if self.problem is None and not self._stopped:
                self.problem = problem
        self.stop()
        self.ended.set()

    def take(self) -> tuple[Download, Part] | None:
        """The next part to fetch, as soon as there is one; None at the end."""
        with self._lock:
            while not self._stopped:
                now = time.monotonic()
                for place, (_, part) in enumerate(self._queue):
                    if part.not_before <= now:
                        return self._queue.pop(place)
                soonest = min((part.not_before - now for _, part in self._queue), default=LOOK_S)
                self._parts_changed.wait(min(soonest, LOOK_S))
        return None

    def accept(self, download: Download, part: Part, asked: Target, answer: Answer) -> int | None:
        """Take an answer for a part that was asked of a target.

        Returns the open file that its body goes into, None where it is not wanted any more.

        Raises:
            TransientError, SensoriumError: see `Download.accept`.
        """
        with self._lock:
            if self._is_stale(download, part):
                return None
            more = download.accept(part, asked, answer)
            self._queue += [(download, further) for further in more]
            self._parts_changed.notify(len(more))
            # The file of this beginning: after another one, writing to it does no harm.
            return os.open(download.journal.data, os.O_WRONLY)

    def wants(self, download: Download, part: Part) -> bool:
        """Whether bytes of a part may still be written."""
        return not self._is_stale(download, part)

    def arrived(self, download: Download, part: Part, count: int) -> None:
        """`count` bytes of a part are on disk."""
        with self._lock:
            if self._is_stale(download, part):
                return
            self.fresh_bytes += count
            if download.advance(part, count):
                self._data_came.notify_all()

    def too_long(self, download: Download, size: int) -> UnavailableError:
        """Throw away a file that brings more bytes than announced; returns what to say."""
        with self._lock:
            return download.wrong_size(size)

    def came_to_end(self, download: Download, part: Part) -> None:
        """The answer to a part of unknown length is over."""
        with self._lock:
            if not self._is_stale(download, part):
                download.ended(part)
                self._data_came.notify_all()

    def again(self, download: Download, part: Part, reason: TransientError) -> None:
        """Have a part fetched again, after a pause that grows.

        Raises:
            UnavailableError: that was tried often enough.
        """
        with self._lock:
            if self._is_stale(download, part):
                return
            part.failures += 1
            download.failures += 1
            failures = part.failures if download.in_ranges else download.failures
            if failures >= self._attempts:
                raise UnavailableError(
                    f"{download.host} breaks off or does not answer ({reason}); what came in is "
                    "kept: pull again to go on",
                    details={"reason": "broken"},
                )
            pause_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** (failures - 1))
            pause_s = max(reason.wait_s, pause_s * random.uniform(0.7, 1.3))
            if download.in_ranges:
                part.not_before = time.monotonic() + pause_s
                self._queue.append((download, part))
            else:
                download.begin_anew()
                self._ask_first(download, pause_s)
            self._parts_changed.notify()

    def restart(self, download: Download, part: Part | None = None) -> None:
        """Begin a file anew, because there is another one now.

        Raises:
            UnavailableError: that happened too often.
        """
        with self._lock:
            if part is not None and self._is_stale(download, part):
                return
            download.restarts += 1
            download.begin_anew()
            if download.restarts > MAX_RESTARTS:
                raise UnavailableError(
                    f"{download.item.path} changes at {download.host} while it is fetched",
                    details={"reason": "changing"},
                )
            self._ask_first(download)
            self._parts_changed.notify()

    def wait_beyond(self, download: Download, generation: int, position: int) -> int | None:
        """Wait for bytes beyond a position; how far they are complete, None at a new beginning.

        Returns the position itself where the file ends there.
        """
        with self._lock:
            while not self._stopped and download.generation == generation:
                if download.journal.header is not None and download.size is not None:
                    end = download.journal.complete_from(position)
                    if end > position or position == download.size:
                        return end
                self._data_came.wait(LOOK_S)
        return None

    def open_to_read(self, download: Download, generation: int) -> int | None:
        """The open file of a beginning, None where there is a newer one."""
        with self._lock:
            if self._stopped or download.generation != generation:
                return None
            return os.open(download.journal.data, os.O_RDONLY)

    def settled(self, download: Download, generation: int) -> bool:
        """Whether a beginning is still the one that counts."""
        return not self._stopped and download.generation == generation

    def _is_stale(self, download: Download, part: Part) -> bool:
        return self._stopped or part.generation != download.generation

    def _ask_first(self, download: Download, pause_s: float = 0.0) -> None:
        part = download.first_part()
        if part is not None:
            part.not_before = time.monotonic() + pause_s
            self._queue.append((download, part))


class Pace:
    """Tells a connection that brings almost nothing from a slow one."""

    def __init__(self, least_per_s: float, over_s: float) -> None:
        self._least = least_per_s * over_s
        self._over_s = over_s
        self._since = time.monotonic()
        self._count = 0

    def came(self, count: int) -> None:
        """`count` bytes came.

        Raises:
            TransientError: it was too little for too long.
        """
        self._count += count
        now = time.monotonic()
        if now - self._since >= self._over_s:
            if self._count < self._least:
                raise TransientError("almost nothing comes")
            self._since, self._count = now, 0
