"""Turns at the compute: requests of a model joined into runs, and models that take turns.

A model that is idle runs a request at once. What comes while it is busy waits, and all of it
that fits goes into the next run: nobody waits for a window to pass. Models that want to run at
the same time take turns, one run each, so that a busy one does not starve the others.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial

from sensorium.control.admission import RETRY_AFTER_S
from sensorium.control.priorities import Waiting
from sensorium.core.dispatch import Priority
from sensorium.core.errors import OverloadedError, SensoriumError
from sensorium.core.tensors import Tensor
from sensorium.models.backends.base import LoadOptions
from sensorium.models.exchange import Request, Result
from sensorium.models.placement.base import Placed


class Compute:
    """So many runs at once; who waits gets its turn in the order in which it asked."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.in_use = 0
        self._waiting: deque[Callable[[], None]] = deque()

    def ask(self, go: Callable[[], None]) -> None:
        """Call `go` when there is room, at once if there is; `leave` follows in its time."""
        if self.in_use < self.capacity:
            self.in_use += 1
            go()
        else:
            self._waiting.append(go)

    def leave(self) -> None:
        """A run has ended."""
        if self._waiting:
            self._waiting.popleft()()
        else:
            self.in_use -= 1


class Entry:
    """A request that waits or runs, and who waits for it."""

    __slots__ = ("answer", "kind", "priority", "request", "rows", "size")

    def __init__(self, request: Request, priority: Priority) -> None:
        self.request = request
        self.priority = priority
        self.answer: asyncio.Future[list[Tensor]] = asyncio.get_running_loop().create_future()
        rows = {each.shape[0] if each.shape else 0 for each in request.inputs}
        self.rows = max(rows, default=0)
        self.size = sum(len(each.data) for each in request.inputs)
        self.kind: object = (
            tuple(request.outputs),
            *((each.name, each.datatype, tuple(each.shape[1:])) for each in request.inputs),
        )
        """What must be equal in requests that are joined."""
        if len(rows) != 1:  # which rows of one input belong to which of another, nobody knows
            self.kind = self

    def deliver(self, result: Result) -> None:
        """Tell who waits, if anybody still does."""
        if self.answer.done():
            return
        if isinstance(result, SensoriumError):
            self.answer.set_exception(result)
        else:
            self.answer.set_result(result)


class Turns:
    """The queue before one loaded model, and its runs: one at a time."""

    def __init__(
        self, placed: Placed, options: LoadOptions, compute: Compute, queue_limit: int
    ) -> None:
        self.runs = 0
        self.requests = 0
        self._placed = placed
        self._max_rows = options.max_batch if placed.facts.joins else 1
        self._max_bytes = options.max_batch_bytes
        self._compute = compute
        self._queue_limit = queue_limit
        self._waiting = Waiting[Entry]()
        self._running: list[Entry] = []
        self._asked = False

    @property
    def waiting(self) -> int:
        """How many requests wait."""
        return len(self._waiting)

    async def infer(self, request: Request, priority: Priority) -> list[Tensor]:
        """The outputs of a request that fits the model.

        Where nobody waits any more, a request leaves the queue, and a run of nothing else ends.

        Raises:
            OverloadedError: too many wait; at once.
            SensoriumError: why the model gave no outputs.
        """
        if self.waiting >= self._queue_limit:
            raise OverloadedError(retry_after_s=RETRY_AFTER_S, details={"lane": "model"})
        entry = Entry(request, priority)
        if self._max_rows == 1:  # nor with one that has no rows at all
            entry.kind = entry
        self._waiting.of(priority).append(entry)
        self._ask()
        try:
            return await entry.answer
        except asyncio.CancelledError:
            self._give_up(entry)
            raise

    def _ask(self) -> None:
        if not self._asked and not self._running and self.waiting:
            self._asked = True
            coming = self._placed.coming_up()
            if coming is None:
                self._compute.ask(self._go)
            else:  # a turn that waits for a process would be no other model's meanwhile
                coming.add_done_callback(self._came_up)

    def _came_up(self, coming: "asyncio.Future[None]") -> None:
        self._asked = False
        error = SensoriumError() if coming.cancelled() else coming.exception()
        if error is not None:
            known = error if isinstance(error, SensoriumError) else SensoriumError()
            while (entry := self._waiting.next()) is not None:
                entry.deliver(known)
        self._ask()

    def _go(self) -> None:
        """It is this model's turn."""
        self._asked = False
        if self.waiting and self._placed.coming_up() is not None:  # it died while it waited
            self._compute.leave()
            self._ask()
            return
        self._running = self._take()
        if not self._running:  # everybody gave up in the meantime
            self._compute.leave()
            return
        self.runs += 1
        self.requests += len(self._running)
        try:
            run = self._placed.run([each.request for each in self._running])
        except Exception as error:  # it was closed under its callers: the server stops
            run = asyncio.get_running_loop().create_future()
            run.set_exception(error)
        if run.done():  # it was so short that it is over: nobody need wait for the next round
            self._ended(self._running, run)
        else:
            run.add_done_callback(partial(self._ended, self._running))

    def _ended(self, batch: Sequence[Entry], run: "asyncio.Future[list[Result]]") -> None:
        self._running = []
        self._asked = True  # until those who hear now have had the chance to ask again
        if run.cancelled():
            results: list[Result] = [SensoriumError()] * len(batch)
        elif (error := run.exception()) is not None:
            known = error if isinstance(error, SensoriumError) else SensoriumError()
            results = [known] * len(batch)
        else:
            results = run.result()
        for entry, result in zip(batch, results, strict=True):
            entry.deliver(result)
        # Two rounds of the loop on, they have: the next run then has them all, and not one alone.
        loop = asyncio.get_running_loop()
        loop.call_soon(loop.call_soon, self._leave)

    def _leave(self) -> None:
        self._asked = False
        self._compute.leave()
        self._ask()

    def _take(self) -> list[Entry]:
        """The next requests to run together: the next in turn, and what fits it."""
        first = self._waiting.next()
        if first is None:
            return []
        batch = [first]
        rows, size = batch[0].rows, batch[0].size
        for queue in map(self._waiting.of, Priority):
            left: deque[Entry] = deque()
            while queue and rows < self._max_rows:
                entry = queue.popleft()
                fits = (
                    entry.kind == batch[0].kind
                    and rows + entry.rows <= self._max_rows
                    and size + entry.size <= self._max_bytes
                )
                if not fits:
                    left.append(entry)
                    continue
                batch.append(entry)
                rows, size = rows + entry.rows, size + entry.size
            queue.extendleft(reversed(left))
        return batch

    def _give_up(self, entry: Entry) -> None:
        queue = self._waiting.of(entry.priority)
        if entry in queue:
            queue.remove(entry)
        elif entry in self._running and all(each.answer.done() for each in self._running):
            self._placed.interrupt()
