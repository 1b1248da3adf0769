"""From plain code to an event loop on a thread of its own, and back."""

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterable, Iterator
from typing import Any, TypeVar

T = TypeVar("T")
BACKLOG = 16
"""Items of an iterable that are read ahead."""


class Portal:
    """An event loop on a background thread, started when first needed."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._starting = threading.Lock()

    @property
    def started(self) -> bool:
        """Whether anything was ever run."""
        return self._loop is not None

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the loop and wait; an interrupt (Ctrl-C) cancels it there."""
        future = asyncio.run_coroutine_threadsafe(work, self._running())
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def iterate(self, items: AsyncGenerator[T, None]) -> Iterator[T]:
        """The items of an async generator; it is closed however the iteration ends."""
        try:
            while True:
                try:
                    yield self.run(_following(items))
                except StopAsyncIteration:
                    return
        finally:
            self.run(items.aclose())

    def stop(self) -> None:
        """End the loop and its thread."""
        loop, self._loop = self._loop, None
        if loop is not None:
            loop.call_soon_threadsafe(loop.stop)

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._starting:
            if self._loop is None:
                loop = self._loop = asyncio.new_event_loop()
                threading.Thread(target=_run, args=(loop,), name="sensorium", daemon=True).start()
            return self._loop


async def _following(items: AsyncGenerator[T, None]) -> T:
    return await anext(items)


def _run(loop: asyncio.AbstractEventLoop) -> None:
    loop.run_forever()
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()


async def from_thread(items: Iterable[Any], make: Callable[[Any], T]) -> AsyncIterator[T]:
    """What `make` makes of each item; the iterable may block, and is read on a thread of its own.

    The thread is a daemon: one that waits in a read that never ends does not hold up the exit.
    """
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[tuple[T | None, Exception | None]] = asyncio.Queue(BACKLOG)
    left = threading.Event()

    def put(item: T | None, error: Exception | None) -> None:
        if not left.is_set():
            asyncio.run_coroutine_threadsafe(queue.put((item, error)), loop).result()

    def read() -> None:
        try:
            for item in items:
                put(make(item), None)
                if left.is_set():
                    return
        except Exception as error:
            put(None, error)
        else:
            put(None, None)

    threading.Thread(target=read, name="sensorium-input", daemon=True).start()
    try:
        while True:
            item, error = await queue.get()
            if error is not None:
                raise error
            if item is None:
                return
            yield item
    finally:
        left.set()
        while not queue.empty():  # lets a put that waits for room go on
            queue.get_nowait()
