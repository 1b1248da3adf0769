"""A process that fetches models: what the workers floor calls there, by its address."""

from typing import Protocol

import msgspec

from sensorium.core.errors import SensoriumError
from sensorium.core.operation import Work
from sensorium.models.hub.pull import pull
from sensorium.models.hub.task import Task, read


class Channel(Protocol):
    """What the workers floor offers to the code that serves a call."""

    def send(self, body: bytes) -> None:
        """Send one item of the answer."""

    def fail(self, body: bytes) -> None:
        """End the call with an error."""

    def on_cancel(self, work: Work) -> None:
        """Have `work.cancel` called when the call is cancelled."""


def serve(header: bytes, body: bytearray, channel: Channel) -> None:
    """Serve one pull to its end."""
    del body
    task = msgspec.json.decode(header, type=Task, dec_hook=read)
    work = Work()
    channel.on_cancel(work)
    try:
        for progress in pull(task.reference, task.place, check=work.check, sha256=task.sha256):
            channel.send(msgspec.msgpack.encode(progress))
    except SensoriumError as error:
        channel.fail(msgspec.json.encode(error.body()))
