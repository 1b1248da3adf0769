"""A fixed number of worker processes: spawned, watched, replaced when they die."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping

from msgspec import Struct

from sensorium.workers.process import CANCEL_GRACE_S, RunningCall, Worker, WorkerDiedError

log = logging.getLogger("sensorium.workers")

HEARTBEAT_S = 1.0
BUSY_BEATS, IDLE_BEATS = 20, 4
"""A worker that has left so many heartbeats in a row unanswered is killed. While it computes, that
may be as long as the longest call into C code that holds the GIL."""
START_S = 30.0
SHORT_LIFE_S = 3.0
"""Where workers do not live so long, one after the other, they are replaced ever more slowly."""
HOPELESS = 4
"""After so many short lives, calls wait for no other."""
BACK_OFF_S = (0.0, 0.0, 0.1, 0.5, 1.0, 2.0, 5.0)
"""By the number of short lives in a row; the first is made up for at once."""
CAME_UP_S = 1.0
"""The longest wait after one that came up: it can, and its callers wait for the next."""


class PoolStats(Struct):
    """What a pool has to say of itself."""

    size: int = 0
    alive: int = 0
    busy: int = 0
    restarts: int = 0


class Pool:
    """`size` processes with `slots` calls each at a time.

    `call` takes the least busy worker and waits for one while none is free; how many calls wait,
    and in which order, is not the pool's affair. `on_up` is told of every process that comes up.
    """

    def __init__(
        self,
        handler: str,
        size: int,
        slots: int = 1,
        environment: Mapping[str, str] | None = None,
        on_up: Callable[[], None] | None = None,
        cancel_grace_s: float = CANCEL_GRACE_S,
        *,
        shared: bool = False,
    ) -> None:
        self.size = size
        self.slots = slots
        self.restarts = 0
        self._handler = handler
        self._on_up = on_up
        self._cancel_grace_s = cancel_grace_s
        self.busy_beats = 0
        """More than the usual for a while: native code that keeps Python's lock answers none."""
        self._shared = shared
        self._environment = dict(environment or {})
        self._workers: list[Worker] = []
        self._waiting: list[asyncio.Future[None]] = []
        self._keepers: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Spawn the workers, without waiting until they are up; a second start does nothing."""
        if not self._keepers:
            self._keepers = [asyncio.create_task(self._keep()) for _ in range(self.size)]

    async def stop(self) -> None:
        """End every worker; calls that still run end with `WorkerDiedError`."""
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        self._keepers = []
        self._give_up()

    async def call(self, header: bytes) -> RunningCall:
        """Begin a call on the least busy worker.

        Raises:
            WorkerDiedError: none came up, again and again, or the pool was stopped.
        """
        while True:
            worker = self._pick()
            if worker is not None:
                call = worker.call(header)
                call.done.add_done_callback(self._freed)
                return call
            waiter = asyncio.get_running_loop().create_future()
            self._waiting.append(waiter)
            await waiter  # one that is cancelled now has kept nobody from looking, as all are woken

    @property
    def workers(self) -> list[Worker]:
        """The processes that are up."""
        return [worker for worker in self._workers if not worker.exited.done()]

    def stats(self) -> PoolStats:
        """How the pool is."""
        up = self.workers
        return PoolStats(
            size=self.size,
            alive=len(up),
            busy=sum(bool(worker.calls) for worker in up),
            restarts=self.restarts,
        )

    def _pick(self) -> Worker | None:
        free = [worker for worker in self.workers if len(worker.calls) < self.slots]
        return min(free, key=lambda worker: (worker.silent, len(worker.calls)), default=None)

    def _freed(self, _: object = None) -> None:
        """Have everybody who waits look again, in turn."""
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            if not waiter.done():
                waiter.set_result(None)

    def _give_up(self) -> None:
        """Have everybody who waits hear that no worker comes up."""
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            if not waiter.done():
                waiter.set_exception(WorkerDiedError())

    async def _keep(self) -> None:
        """Keep one worker alive, for ever."""
        failures = 0
        while True:
            began = time.monotonic()
            served = await self._live()
            lasted = served and time.monotonic() - began > SHORT_LIFE_S
            failures = 0 if lasted else failures + 1
            if failures >= HOPELESS and not self.workers:
                self._give_up()
            self.restarts += 1
            wait_s = BACK_OFF_S[min(failures, len(BACK_OFF_S) - 1)]
            await asyncio.sleep(min(wait_s, CAME_UP_S) if served else wait_s)

    async def _live(self) -> bool:
        """One worker's life; returns whether it ever was ready."""
        try:
            worker = await Worker.spawn(
                self._handler,
                self.slots,
                self._environment,
                self._cancel_grace_s,
                shared=self._shared,
            )
        except OSError:  # no more processes or descriptors; there may be some later
            log.exception("a worker could not be started")
            return False
        try:
            served = await self._serve(worker)
        finally:
            worker.kill()
            worker.close()
            status = await asyncio.shield(asyncio.to_thread(worker.reap))
        log.warning("worker %d ended (status %d) and is replaced", worker.pid, status)
        return served

    async def _serve(self, worker: Worker) -> bool:
        """Have a worker in service until it is gone; returns whether it ever was ready."""
        await asyncio.wait(
            [worker.ready, worker.exited], timeout=START_S, return_when=asyncio.FIRST_COMPLETED
        )
        if worker.exited.done() or not worker.ready.done():
            return False
        self._workers.append(worker)
        if self._on_up is not None:
            self._on_up()
        self._freed()
        try:
            await self._watch(worker)
        finally:
            self._workers.remove(worker)
        return True

    async def _watch(self, worker: Worker) -> None:
        while True:
            asked = time.monotonic()
            worker.ping()
            await asyncio.wait([worker.exited], timeout=HEARTBEAT_S)
            if worker.exited.done():
                return
            worker.silent = 0 if worker.last_heard >= asked else worker.silent + 1
            if worker.silent >= (self.busy_beats or BUSY_BEATS if worker.calls else IDLE_BEATS):
                log.warning("worker %d is silent and is killed", worker.pid)
                worker.kill()
