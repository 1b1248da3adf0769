"""From plain code to an event loop on a thread of its own, and back."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Coroutine, Iterator
from typing import Any, TypeVar

from msgspec import Struct

T = TypeVar("T")
S = TypeVar("S", bound=Struct)


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
        """Run a coroutine on the loop and wait for its end.

        An interrupt (Ctrl-C) cancels it and still waits, so that what comes next finds it ended.
        """
        ended = threading.Event()

        async def watched() -> T:
            try:
                return await work
            finally:
                ended.set()

        future = asyncio.run_coroutine_threadsafe(watched(), self._running())
        try:
            return future.result()
        except BaseException:
            if not future.done() and future.cancel():
                ended.wait()
            raise

    def iterate(self, items: AsyncGenerator[S, None]) -> Iterator[S]:
        """The items of an async generator; it is closed however the iteration ends."""
        try:
            while (item := self.run(_following(items))) is not None:
                yield item
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


async def _following(items: AsyncGenerator[S, None]) -> S | None:
    return await anext(items, None)


def _run(loop: asyncio.AbstractEventLoop) -> None:
    loop.run_forever()
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()
