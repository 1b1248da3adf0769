"""A slot that is given back when the work has really ended, not when somebody stops waiting."""

from collections.abc import Sequence

from sensorium.control.admission import Lane
from sensorium.core.dispatch import Caller
from sensorium.core.operation import Operation


class Slots:
    """Slots in one or more lanes, taken in order."""

    def __init__(self, lanes: Sequence[Lane]) -> None:
        self._lanes = lanes
        self._held: list[Lane] = []

    async def take(self, operation: Operation, caller: Caller, *, nested: bool) -> None:
        """Wait in turn for a slot in each lane; a nested call never waits.

        Raises:
            OverloadedError: a queue is full.
        """
        try:
            for lane in self._lanes:
                if nested:
                    lane.in_use += 1
                else:
                    await lane.enter(operation.name, operation.queue_limit, caller.priority)
                self._held.append(lane)
        except BaseException:
            self.give_back()
            raise

    def give_back(self, _: object = None) -> None:
        """Give them back; a second time does nothing."""
        while self._held:
            self._held.pop().leave()
