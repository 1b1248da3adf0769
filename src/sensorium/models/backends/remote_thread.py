"""An event loop on a thread of its own, for those who wait without one."""

import asyncio
import queue
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from concurrent.futures import CancelledError, Future
from contextlib import aclosing
from typing import Any, Generic, TypeVar

from sensorium.core.errors import CancelledCallError, UnavailableError
from sensorium.models.backends.looking import LOOK_S

T = TypeVar("T")
MAX_WAITING = 1000
"""Items that wait to be taken; no more are made then."""
END_S = 10.0


class LoopThread:
    """Runs coroutines for other threads; `on_close` runs on it at the end."""

    def __init__(self, on_close: Callable[[], None]) -> None:
        self._on_close = on_close
        self._running: set[Future[Any]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def result(self, work: Coroutine[Any, Any, T]) -> T:
        """What a coroutine returns.

        Raises:
            CancelledCallError: `interrupt` was called.
            UnavailableError: it is closed.
        """
        future = self._begin(work)
        try:
            return future.result()
        except CancelledError:
            raise CancelledCallError from None

    def items(
        self, source: AsyncGenerator[T, None], wanted: Callable[[], bool]
    ) -> Generator[T, None, None]:
        """What a generator makes, as it comes, until no more is wanted; errors as for `result`."""
        taken: _Items[T] = _Items(self._loop)
        future = self._begin(_pump(source, taken))
        try:
            while not (taken.ended or (future.done() and taken.empty())):
                item = taken.next()
                if item is not None:
                    yield item
                elif not (taken.ended or wanted()):
                    return
            future.result()
        except CancelledError:
            raise CancelledCallError from None
        finally:
            future.cancel()

    def interrupt(self) -> None:
        """End what runs now."""
        for future in self._running.copy():
            future.cancel()

    def close(self) -> None:
        """End it; a second time does nothing."""
        if self._loop.is_closed():
            return
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(END_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(END_S)
        self._loop.close()

    def _begin(self, work: Coroutine[Any, Any, T]) -> "Future[T]":
        if self._loop.is_closed():
            work.close()
            raise UnavailableError("the model was unloaded; try again", retry_after_s=0.1)
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        self._running.add(future)
        future.add_done_callback(self._running.discard)
        return future

    async def _end(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._on_close()
        await asyncio.sleep(0)  # connections that were closed are gone after a turn


async def _pump(source: AsyncGenerator[T, None], taken: "_Items[T]") -> None:
    try:
        async with aclosing(source):
            async for item in source:
                await taken.put(item)
    finally:
        taken.end()


class _Items(Generic[T]):
    """Items on their way from the loop to a thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.ended = False
        self._loop = loop
        self._waiting: queue.SimpleQueue[T | None] = queue.SimpleQueue()
        self._room = asyncio.Semaphore(MAX_WAITING)

    async def put(self, item: T) -> None:
        """Hand over an item, once there is room."""
        await self._room.acquire()
        self._waiting.put(item)

    def end(self) -> None:
        """Hand over that there are no more."""
        self._waiting.put(None)

    def empty(self) -> bool:
        """Whether nothing waits."""
        return self._waiting.empty()

    def next(self) -> T | None:
        """The next item; None where none has come for a while, or there are no more."""
        try:
            item = self._waiting.get(timeout=LOOK_S)
        except queue.Empty:
            return None
        if item is None:
            self.ended = True
        elif not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._room.release)
        return item
