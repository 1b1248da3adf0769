"""What each connection's thread does: take a part, ask for it, write it where it belongs."""

import os

from sensorium.models.hub.connection import Answer, Connections, TransientError
from sensorium.models.hub.download import Download
from sensorium.models.hub.parts import ChangedError, Part
from sensorium.models.hub.room import check_room, disk_problem
from sensorium.models.hub.scheduler import Pace, Scheduler

LEAST_BYTES_PER_S = 1024


def fetch_parts(scheduler: Scheduler, connections: Connections, stall_s: float) -> None:
    """Fetch parts until there are no more; every problem goes to the scheduler."""
    try:
        while (taken := scheduler.take()) is not None:
            download, part = taken
            try:
                _fetch(scheduler, connections, stall_s, download, part)
            except TransientError as error:
                scheduler.again(download, part, error)
            except ChangedError:
                scheduler.restart(download, part)
    except OSError as error:
        scheduler.fail(disk_problem(error))
    except BaseException as error:
        scheduler.fail(error)
    finally:
        connections.close()


def _fetch(
    scheduler: Scheduler, connections: Connections, stall_s: float, download: Download, part: Part
) -> None:
    asked = download.target
    answer = connections.get(asked, download.headers(part))
    try:
        size_was_known = download.size is not None
        descriptor = scheduler.accept(download, part, asked, answer)
        if descriptor is None:
            return
        try:
            if not size_was_known and download.size is not None:
                check_room(download.journal.data.parent, download.size)
            _write(scheduler, answer, Pace(LEAST_BYTES_PER_S, stall_s), download, part, descriptor)
        finally:
            os.close(descriptor)
    finally:
        answer.finish()


def _write(
    scheduler: Scheduler,
    answer: Answer,
    pace: Pace,
    download: Download,
    part: Part,
    descriptor: int,
) -> None:
    while part.end is None or part.at < part.end:
        data = answer.read()
        if not data:
            if part.end is not None:
                raise TransientError("the connection was closed")
            scheduler.came_to_end(download, part)
            return
        end = part.at + len(data)
        limit = part.end if part.end is not None else download.item.size
        if limit is not None and end > limit:
            raise scheduler.too_long(download, end)
        if not scheduler.wants(download, part):
            return
        written = 0
        while written < len(data):
            written += os.pwrite(descriptor, data[written:] if written else data, part.at + written)
        scheduler.arrived(download, part, len(data))
        pace.came(len(data))
