"""A process that quantises models: what the workers floor calls there, by its address."""

from typing import Protocol

import msgspec

from sensorium.core.errors import SensoriumError
from sensorium.core.operation import Work
from sensorium.models.quantising.progress import Task
from sensorium.models.quantising.quantise import quantise


class Channel(Protocol):
    """What the workers floor offers to the code that serves a call."""

    def send(self, body: bytes) -> None:
        """Send one item of the answer."""

    def fail(self, body: bytes) -> None:
        """End the call with an error."""

    def on_cancel(self, work: Work) -> None:
        """Have `work.cancel` called when the call is cancelled."""


def serve(header: bytes, body: bytearray, channel: Channel) -> None:
    """Quantise one model to its end."""
    del body
    task = msgspec.json.decode(header, type=Task)
    work = Work()
    channel.on_cancel(work)
    try:
        for progress in quantise(task, work.check):
            channel.send(msgspec.msgpack.encode(progress))
    except SensoriumError as error:
        channel.fail(msgspec.json.encode(error.body()))
