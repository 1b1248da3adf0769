"""What the threads of a transfer share."""

import os
from email.message import Message
from pathlib import Path
from typing import Any

import pytest

from sensorium.core.errors import UnavailableError
from sensorium.models.hub.connection import Answer, Target
from sensorium.models.hub.download import Download
from sensorium.models.hub.journal import BLOCK
from sensorium.models.hub.parts import Item, Part
from sensorium.models.hub.scheduler import MAX_RESTARTS, Scheduler

SIZE = 4 * BLOCK
NOTHING: Any = None


def answered(part: Part, target: Target) -> Answer:
    headers = Message()
    headers["Content-Range"] = f"bytes {part.at}-{(part.end or SIZE) - 1}/{SIZE}"
    return Answer(206, headers, target, NOTHING, NOTHING)


def accepted(scheduler: Scheduler, download: Download) -> Part:
    """A part that is being written."""
    while True:
        taken = scheduler.take()
        assert taken is not None
        if scheduler.wants(download, part := taken[1]):
            break
    target = download.target
    descriptor = scheduler.accept(download, part, target, answered(part, target))
    assert descriptor is not None
    os.close(descriptor)
    return part


def test_who_still_writes_when_a_changing_file_is_given_up_does_no_harm(tmp_path: Path) -> None:
    item = Item("a", "http://127.0.0.1:1/a", SIZE)
    download = Download(item, tmp_path, tmp_path / "a", range_bytes=BLOCK, connections=2)
    scheduler = Scheduler([download], 3)
    for _ in range(MAX_RESTARTS):
        scheduler.restart(download, accepted(scheduler, download))
    writing, changed = accepted(scheduler, download), accepted(scheduler, download)
    with pytest.raises(UnavailableError, match="changes"):
        scheduler.restart(download, changed)
    before = scheduler.fresh_bytes
    scheduler.arrived(download, writing, BLOCK)
    assert scheduler.fresh_bytes == before
    assert list(tmp_path.iterdir()) == []
    scheduler.close()
