"""What the server knows of its own health: from real, recent work, not from good intentions."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from enum import Enum
from typing import Literal

from sensorium.control.processes import Processes
from sensorium.core.dispatch import Caller, Dispatcher
from sensorium.core.errors import SensoriumError
from sensorium.core.operation import Kind, Operation
from sensorium.core.telemetry import OperationStats, Telemetry

log = logging.getLogger("sensorium.control")
PROBE_S = 5.0
FORGET_S = 60.0
"""A failure that did not happen again for so long says nothing any more. What is probed fails again
sooner; a stream, and what changes something, is tried by its callers alone."""
ModelState = Literal["untested", "ready", "failing"]


class State(Enum):
    """How a capability is."""

    UNTESTED = "untested"
    """Never used yet; gets traffic."""
    READY = "ready"
    """Its last work succeeded."""
    FAILING = "failing"
    """Its last work failed lately through no fault of the caller; probed until it succeeds."""


class Readiness:
    """Watches the doors, the workers and the capabilities."""

    def __init__(self, telemetry: Telemetry, processes: Processes | None) -> None:
        self.telemetry = telemetry
        self.doors: dict[str, str] = {}
        """Each door's state in a word or a sentence; set by whoever opens it."""
        self.ports: dict[str, int] = {}
        """The ports of doors that have one of their own."""
        self.models: Callable[[], dict[str, ModelState]] = dict
        """Tells how each loaded model is; set once there can be any."""
        self.draining = False
        self.workers = processes.pool.stats if processes is not None else None

    @property
    def ready(self) -> bool:
        """Whether to send traffic here."""
        return not self.draining and (self.workers is None or self.workers().alive > 0)

    def operation(self, name: str) -> State:
        """How an operation is."""
        stats = self.telemetry.operations.get(name)
        return State.UNTESTED if stats is None else _state(stats)

    def capabilities(self) -> dict[str, State]:
        """How each noun that was ever called is: as its worst operation."""
        found: dict[str, State] = {}
        for name, stats in self.telemetry.operations.items():
            noun, state = name.partition(".")[0], _state(stats)
            if found.get(noun) is not State.FAILING and state is not State.UNTESTED:
                found[noun] = state
        return found

    async def probe(self, dispatcher: Dispatcher) -> None:
        """Try what is failing with its own example, for ever."""
        while True:
            await asyncio.sleep(PROBE_S)
            for operation in list(self._failing(dispatcher.registry.loaded())):
                try:
                    assert operation.example is not None
                    await dispatcher.call(operation.name, operation.example, Caller(door="probe"))
                    log.info("%s works again", operation.name)
                except SensoriumError:
                    pass

    def _failing(self, operations: Iterable[Operation]) -> Iterable[Operation]:
        for operation in operations:
            probed = operation.kind is Kind.UNARY and not operation.changes
            failing = self.operation(operation.name) is State.FAILING
            if probed and failing and operation.example is not None:
                yield operation


def _state(stats: OperationStats) -> State:
    worked, failed = stats.last_success or 0.0, stats.last_failure or 0.0
    if failed > worked and time.time() - failed < FORGET_S:
        return State.FAILING
    return State.READY if worked else State.UNTESTED
