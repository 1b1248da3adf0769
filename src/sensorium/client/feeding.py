"""What the caller gives to a listening operation, as the iterator that the operation wants."""

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Collection, Iterable, Iterator
from typing import Any

from msgspec import Struct

from sensorium.core.errors import SensoriumError

BACKLOG = 16
"""Items of an iterable that are read ahead."""
Make = Callable[[Any], Struct]
"""Makes a Struct of an item, or raises a `SensoriumError`."""


class FeedError(SensoriumError):
    """What the caller's own iterator raised, on its way past the operation that listens."""

    def __init__(self, cause: Exception) -> None:
        super().__init__()
        self.cause = cause


def feed(items: Iterable[Any], make: Make) -> Iterator[Struct]:
    """The items for an operation that runs on this thread."""
    source = iter(items)
    while True:
        try:
            item = next(source)
        except StopIteration:
            return
        except Exception as error:
            raise FeedError(error) from error
        yield make(item)


async def feed_async(
    items: Iterable[Any] | AsyncIterable[Any], make: Make
) -> AsyncGenerator[Struct, None]:
    """The items for an operation that is awaited; a plain iterable may block."""
    if isinstance(items, AsyncIterable):
        source = aiter(items)
        while True:
            try:
                item = await anext(source)
            except StopAsyncIteration:
                return
            except Exception as error:
                raise FeedError(error) from error
            yield make(item)
    elif isinstance(items, Collection):
        for item in items:
            yield make(item)
    else:
        async for item in _read_ahead(feed(items, make)):
            yield item


async def _read_ahead(items: Iterator[Struct]) -> AsyncGenerator[Struct, None]:
    """Items that are read on a thread of their own.

    The thread is a daemon: one that waits in a read that never ends does not hold up the exit.
    """
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[Struct | Exception | None] = asyncio.Queue(BACKLOG)
    left = threading.Event()

    def put(item: Struct | Exception | None) -> None:
        if not left.is_set():
            asyncio.run_coroutine_threadsafe(queue.put(item), loop).result()

    def read() -> None:
        try:
            for item in items:
                put(item)
                if left.is_set():
                    return
            put(None)
        except Exception as error:
            put(error)

    threading.Thread(target=read, name="sensorium-input", daemon=True).start()
    try:
        while (item := await queue.get()) is not None:
            if isinstance(item, Exception):
                raise item
            yield item
    finally:
        left.set()
        while not queue.empty():  # a put that waits for room goes on, and sees that we left
            queue.get_nowait()
