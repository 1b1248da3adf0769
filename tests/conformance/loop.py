"""An event loop on a thread of its own, so that what lives on it goes on between two tests."""

import asyncio
import threading
from collections.abc import Coroutine
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any, TypeVar

T = TypeVar("T")


class BackgroundLoop:
    """Runs coroutines for tests that are plain functions; one after the other."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._stack = AsyncExitStack()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T], timeout_s: float = 100) -> T:
        """What the coroutine returns."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout_s)

    def enter(self, context: AbstractAsyncContextManager[T]) -> T:
        """Enter a context manager; it is left when the loop is closed."""
        return self.run(self._stack.enter_async_context(context))

    def leave(self) -> None:
        """Leave every context that was entered, newest first."""
        self.run(self._stack.aclose())

    def close(self) -> None:
        """End the loop."""
        self.leave()
        self.run(_cancel_others())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


async def _cancel_others() -> None:
    """End what a library leaves running for as long as its loop lasts."""
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
