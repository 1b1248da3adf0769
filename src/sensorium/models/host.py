"""A model's own process: what the workers floor calls there, by its address."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from sensorium.core.errors import SensoriumError
from sensorium.models.backends.base import LoadedModel
from sensorium.models.exchange import Facts, Outcome, Request, Result, Task
from sensorium.models.loading import load_model
from sensorium.models.running import run


class Channel(Protocol):
    """What the workers floor offers to the code that serves a call."""

    def send(self, body: bytes) -> None:
        """Send the answer."""

    def fail(self, body: bytes) -> None:
        """End the call with an error."""

    def on_cancel(self, work: "Interrupt") -> None:
        """Have `work.cancel` called when the call is cancelled."""


log = logging.getLogger("sensorium.models")


@dataclass(frozen=True)
class Interrupt:
    """Ends the run that is under way."""

    cancel: Callable[[], None]


class _Host:
    """The model of this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._model: LoadedModel | None = None
        self._facts: Facts | None = None

    def load(self, task: Task) -> tuple[LoadedModel, Facts]:
        """The model, loaded now if it is not yet."""
        with self._lock:
            if self._model is None or self._facts is None:
                self._model, self._facts = load_model(task.artifact, task.options)
            return self._model, self._facts


_HOST = _Host()


def serve(header: bytes, body: bytearray, channel: Channel) -> None:
    """Serve one call to its end."""
    task = msgspec.json.decode(header, type=Task, dec_hook=_path)
    try:
        model, facts = _HOST.load(task)
        if task.action == "load":
            channel.send(msgspec.msgpack.encode(facts))
            return
        channel.on_cancel(Interrupt(model.interrupt))
        requests = msgspec.msgpack.decode(body, type=list[Request])
        outcomes = [_outcome(each) for each in run(model, requests)]
        channel.send(msgspec.msgpack.encode(outcomes))
    except Exception as error:
        known = error if isinstance(error, SensoriumError) else SensoriumError()
        if known is not error:
            log.exception("a model failed")
        channel.fail(msgspec.json.encode(known.body()))


def _outcome(result: Result) -> Outcome:
    if isinstance(result, SensoriumError):
        return Outcome(error=result.body())
    return Outcome(result)


def _path(kind: type[Any], value: Any) -> Any:
    return kind(value)
