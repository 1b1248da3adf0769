"""Who is next where interactive calls go before batch calls."""

from collections import deque
from typing import Generic, TypeVar

from sensorium.core.dispatch import Priority

T = TypeVar("T")

FAVOURED = 8
"""So many interactive calls in a row go before a batch call that waits."""


class Waiting(Generic[T]):
    """A queue for each priority.

    Interactive calls go first, but for one batch call in a while: where interactive calls never
    end, batch calls would wait for ever otherwise.
    """

    def __init__(self) -> None:
        self._queues: dict[Priority, deque[T]] = {each: deque() for each in Priority}
        self._favoured = 0

    def __len__(self) -> int:
        return sum(map(len, self._queues.values()))

    def of(self, priority: Priority) -> deque[T]:
        """Who waits with this priority, in turn."""
        return self._queues[priority]

    def next(self) -> T | None:
        """Whose turn it is: it waits no longer. None where nobody waits."""
        interactive, batch = self.of(Priority.INTERACTIVE), self.of(Priority.BATCH)
        if interactive and (not batch or self._favoured < FAVOURED):
            self._favoured += bool(batch)
            return interactive.popleft()
        self._favoured = 0
        return batch.popleft() if batch else None
