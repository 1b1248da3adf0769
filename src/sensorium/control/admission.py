"""Bounded waiting: a call gets its slot in turn, or is refused at once."""

import asyncio
from collections import Counter

from sensorium.control.priorities import Waiting
from sensorium.core.dispatch import Priority
from sensorium.core.errors import OverloadedError

RETRY_AFTER_S = 1.0


class Lane:
    """`capacity` slots of one kind, and a bounded queue before them.

    Interactive calls go before most batch calls; within a priority, first come, first served.
    """

    def __init__(self, name: str, capacity: int, queue_limit: int) -> None:
        self.name = name
        self.capacity = capacity
        self.queue_limit = queue_limit
        self.in_use = 0
        self._waiting = Waiting[asyncio.Future[None]]()
        self._by_operation: Counter[str] = Counter()

    @property
    def waiting(self) -> int:
        """How many calls wait."""
        return self._by_operation.total()

    async def enter(self, operation: str, limit: int, priority: Priority) -> None:
        """Take a slot, waiting in turn; give it back with `leave`.

        `limit` bounds how many calls of this operation may wait.

        Raises:
            OverloadedError: the queue is full; at once.
        """
        if self.in_use < self.capacity:
            self.in_use += 1
            return
        if self.waiting >= self.queue_limit or self._by_operation[operation] >= limit:
            raise OverloadedError(retry_after_s=RETRY_AFTER_S, details={"lane": self.name})
        turn = asyncio.get_running_loop().create_future()
        queue = self._waiting.of(priority)
        queue.append(turn)
        self._by_operation[operation] += 1
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.leave()  # the slot came in the same moment as the cancellation
            elif turn in queue:  # `leave` drops the cancelled ones that it meets
                queue.remove(turn)
            raise
        finally:
            self._left_queue(operation)

    def leave(self) -> None:
        """Give the slot back: to the next in turn, if any and if no nested call is too many."""
        if self.in_use > self.capacity:
            self.in_use -= 1
            return
        while (turn := self._waiting.next()) is not None:
            if not turn.done():
                turn.set_result(None)
                return
        self.in_use -= 1

    def _left_queue(self, operation: str) -> None:
        self._by_operation[operation] -= 1
        if not self._by_operation[operation]:
            del self._by_operation[operation]
