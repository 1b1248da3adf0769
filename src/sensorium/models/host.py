"""A model's own process: what the workers floor calls there, by its address."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from sensorium.core.asking import Question
from sensorium.core.errors import SensoriumError
from sensorium.core.generation import Generation, Piece
from sensorium.models.answering import answer
from sensorium.models.backends.base import LoadedModel, TextModel
from sensorium.models.exchange import Facts, Task
from sensorium.models.loading import load_model
from sensorium.models.packing import Region, pack_results, unpack_requests
from sensorium.models.running import run

log = logging.getLogger("sensorium.models")
pack = msgspec.msgpack.encode
NOTHING = Piece()
"""Only asks whether the text is still wanted."""


@dataclass
class Cancelling:
    """What cancelling a call does."""

    act: Callable[[], None] = lambda: None
    cancelled: bool = False

    def cancel(self) -> None:
        """Nobody waits for the call any more."""
        self.cancelled = True
        self.act()


class Channel(Protocol):
    """What the workers floor offers to the code that serves a call."""

    def send(self, body: bytes) -> None:
        """Send the answer, or one item of it."""

    def share(self, data: bytes | memoryview) -> Region | None:
        """Put bytes where the server sees them until it has read the answer; None: send them."""

    def shared(self, region: Region) -> memoryview:
        """What the server put into shared memory for this call."""

    def fail(self, body: bytes) -> None:
        """End the call with an error."""

    def on_cancel(self, work: Cancelling) -> None:
        """Have `work.cancel` called when the call is cancelled."""


class _Host:
    """The model of this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._model: LoadedModel | TextModel | None = None
        self._facts: Facts | None = None

    def load(self, task: Task) -> tuple[LoadedModel | TextModel, Facts]:
        """The model, loaded now if it is not yet."""
        with self._lock:
            if self._model is None or self._facts is None:
                self._model, self._facts = load_model(task.artifact, task.options)
            return self._model, self._facts


_HOST = _Host()


def serve(header: bytes, body: bytearray, channel: Channel) -> None:
    """Serve one call to its end."""
    task = msgspec.json.decode(header, type=Task, dec_hook=_path)
    cancelling = Cancelling()
    try:
        model, facts = _HOST.load(task)
        channel.on_cancel(cancelling)
        if task.action == "load":
            channel.send(pack(facts))
        elif task.action == "ask":
            question = msgspec.msgpack.decode(body, type=Question)
            channel.send(pack(answer(model, question, lambda: not cancelling.cancelled)))
        elif isinstance(model, TextModel):
            _generate(model, body, channel, cancelling)
        else:
            cancelling.act = model.interrupt
            results = run(model, unpack_requests(body, channel.shared))
            channel.send(pack_results(results, channel.share))
    except Exception as error:
        known = error if isinstance(error, SensoriumError) else SensoriumError()
        if known is not error:
            log.exception("a model failed")
        channel.fail(msgspec.json.encode(known.body()))


def _generate(model: TextModel, body: bytearray, channel: Channel, cancelling: Cancelling) -> None:
    def emit(piece: Piece) -> bool:
        if not cancelling.cancelled and piece != NOTHING:
            channel.send(pack(piece))
        return not cancelling.cancelled

    model.generate(msgspec.msgpack.decode(body, type=Generation), emit)


def _path(kind: type[Any], value: Any) -> Any:
    return kind(value)
