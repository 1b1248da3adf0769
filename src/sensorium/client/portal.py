"""From plain code to an event loop on a thread of its own, and back."""

import asyncio
import threading
import weakref
from collections.abc import AsyncGenerator, Coroutine, Generator
from concurrent.futures import Future, wait
from contextlib import suppress
from typing import Any, NamedTuple, TypeVar

from msgspec import Struct

from sensorium.core.errors import UnavailableError

T = TypeVar("T")
S = TypeVar("S", bound=Struct)
STOP_S = 5.0


class _Loop(NamedTuple):
    """A loop that runs on a thread until its event is set."""

    loop: asyncio.AbstractEventLoop
    stopped: asyncio.Event
    open: set[AsyncGenerator[Any, None]]
    """What is being iterated; closed before the loop ends."""


class Portal:
    """An event loop on a background thread, started when first needed.

    It ends with `stop`, when nobody holds the portal any more, or with the program.
    """

    def __init__(self) -> None:
        self._running: _Loop | None = None
        self._end: weakref.finalize[Any, Portal] | None = None
        self._closed = False
        self._lock = threading.Lock()

    @property
    def started(self) -> bool:
        """Whether anything was ever run."""
        return self._running is not None

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the loop and wait for its end.

        An interrupt (Ctrl-C) cancels it and still waits, so that what comes next finds it ended.

        Raises:
            UnavailableError: the portal was stopped.
        """
        try:
            loop = self._loop()
        except UnavailableError:
            work.close()
            raise
        outcome: Future[T] = Future()
        begun: list[asyncio.Task[T]] = []

        def begin() -> None:
            begun.append(loop.create_task(work))
            begun[0].add_done_callback(lambda task: _settle(outcome, task))

        def stop() -> None:
            if begun:
                begun[0].cancel()
            else:  # the interrupt came before the work was handed over
                work.close()
                _cancel(outcome)

        try:
            loop.call_soon_threadsafe(begin)
            return outcome.result()
        except BaseException:
            if not outcome.done():
                loop.call_soon_threadsafe(stop)
                wait([outcome], STOP_S)
            raise

    def iterate(self, items: AsyncGenerator[S, None]) -> Generator[S, None, None]:
        """The items of an async generator; it is closed however the iteration ends."""
        self._loop()
        assert self._running is not None
        opened = self._running.open
        opened.add(items)
        try:
            while (item := self.run(_following(items))) is not None:
                yield item
        finally:
            if items in opened:
                self.run(_closing(items, opened))

    def stop(self) -> None:
        """Cancel what runs, and end the loop and its thread."""
        self._closed = True
        if self._end is not None:
            self._end()

    def _loop(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._closed:
                raise UnavailableError("this client is closed")
            if self._running is None:
                starting: Future[_Loop] = Future()
                thread = threading.Thread(
                    target=_serve, args=(starting,), name="sensorium", daemon=True
                )
                thread.start()
                self._running = starting.result()
                self._end = weakref.finalize(self, _stop, self._running, thread)
            return self._running.loop


def _cancel(outcome: "Future[Any]") -> None:
    outcome.cancel()
    outcome.set_running_or_notify_cancel()  # or `wait` would not see it


def _settle(outcome: "Future[T]", task: "asyncio.Task[T]") -> None:
    """Have whoever waits see how a task ended."""
    if task.cancelled():
        _cancel(outcome)
    elif (error := task.exception()) is not None:
        outcome.set_exception(error)
    else:
        outcome.set_result(task.result())


async def _following(items: AsyncGenerator[S, None]) -> S | None:
    return await anext(items, None)


async def _closing(items: AsyncGenerator[S, None], opened: set[AsyncGenerator[Any, None]]) -> None:
    opened.discard(items)
    await items.aclose()


def _serve(starting: "Future[_Loop]") -> None:
    async def live() -> None:
        stopped = asyncio.Event()
        running = _Loop(asyncio.get_running_loop(), stopped, set())
        starting.set_result(running)
        await stopped.wait()
        while running.open:
            with suppress(Exception):
                await running.open.pop().aclose()

    asyncio.run(live())


def _stop(running: _Loop, thread: threading.Thread) -> None:
    running.loop.call_soon_threadsafe(running.stopped.set)
    if thread is not threading.current_thread():
        thread.join(STOP_S)
