"""Operations on threads of this process."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextvars import copy_context
from typing import TypeVar

from msgspec import Struct

from sensorium.control.admission import Lane
from sensorium.control.body import Body
from sensorium.control.slots import Slots
from sensorium.core.codec import encode_answer
from sensorium.core.dispatch import Answer, Caller, Encoded, Payload
from sensorium.core.errors import CancelledCallError
from sensorium.core.execution import compute, compute_stream
from sensorium.core.operation import Operation, Work

T = TypeVar("T")


class Threads:
    """A lane and the threads that serve it; streams have threads of their own."""

    def __init__(self, size: int, streams: int, queue: int, max_bytes: int) -> None:
        self.lane = Lane("thread", size, queue)
        self.stream_lane = Lane("thread-stream", streams, queue)
        self._max_bytes = max_bytes
        self._executor = ThreadPoolExecutor(size, "sensorium")
        self._stream_executor = ThreadPoolExecutor(streams, "sensorium-stream")

    def stop(self) -> None:
        """Take no more work; what runs is abandoned."""
        for executor in (self._executor, self._stream_executor):
            executor.shutdown(wait=False, cancel_futures=True)

    async def unary(
        self,
        operation: Operation,
        payload: Struct | Body,
        caller: Caller,
        deadline: float,
        *,
        nested: bool,
    ) -> Answer:
        """Run a unary operation on a thread; an encoded payload gets an encoded answer."""
        slots = Slots([self.lane])
        await slots.take(operation, caller, nested=nested)
        loop = asyncio.get_running_loop()
        work = Work(deadline, _reporter(loop, caller))

        def run() -> Answer:
            if isinstance(payload, Body):
                value = compute(operation, payload.whole(), work, self._max_bytes)
                return Answer(encoded=encode_answer(operation, value, caller.answer_type))
            return Answer(compute(operation, payload, work, self._max_bytes))

        future = loop.run_in_executor(self._executor, copy_context().run, run)
        future.add_done_callback(slots.give_back)
        return await _or_cancel(future, work)

    async def stream(
        self,
        operation: Operation,
        payload: Payload,
        caller: Caller,
        incoming: AsyncIterator[Payload] | None,
    ) -> AsyncGenerator[Answer, None]:
        """Run a streaming operation on a thread, one item at a time."""
        slots = Slots([self.stream_lane])
        await slots.take(operation, caller, nested=False)
        loop = asyncio.get_running_loop()
        work = Work(None, _reporter(loop, caller))
        items = None if incoming is None else _Blocking(incoming, loop)
        values = compute_stream(operation, payload, items, work, self._max_bytes)
        wanted = caller.answer_type if isinstance(payload, Encoded) else ""
        running: asyncio.Future[Struct | None] | None = None
        context = copy_context()  # the request's id, for what is logged there
        try:
            while True:
                running = loop.run_in_executor(self._stream_executor, context.run, _next, values)
                value = await _or_cancel(running, work)
                if value is None:
                    return
                if wanted:
                    yield Answer(encoded=encode_answer(operation, value, wanted))
                else:
                    yield Answer(value)
        finally:
            work.cancel()
            if items is not None:
                items.cancel()
            if running is None or running.done():
                slots.give_back()
            else:
                running.add_done_callback(slots.give_back)


def _reporter(
    loop: asyncio.AbstractEventLoop, caller: Caller
) -> Callable[[int, int | None, str], None] | None:
    if caller.on_progress is None:
        return None
    heard = caller.on_progress
    return lambda done, total, unit: void(loop.call_soon_threadsafe(heard, done, total, unit))


def _next(values: Iterator[Struct]) -> Struct | None:
    return next(values, None)


def void(_: object) -> None:
    """Drop a result."""


async def _or_cancel(future: "asyncio.Future[T]", work: Work) -> T:
    """Wait for a thread; where nobody waits any more, have it stop at its next check."""
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        work.cancel()
        future.add_done_callback(lambda done: void(done.cancelled() or done.exception()))
        raise


class _Blocking:
    """An async iterator as a plain one, for a thread; `cancel` wakes the thread that waits."""

    def __init__(self, incoming: AsyncIterator[Payload], loop: asyncio.AbstractEventLoop) -> None:
        self._incoming = incoming
        self._loop = loop
        self._cancelled = False
        self._following: Future[Payload | None] | None = None

    def __iter__(self) -> Iterator[Payload]:
        return self

    def __next__(self) -> Payload:
        following = asyncio.run_coroutine_threadsafe(self._next(), self._loop)
        self._following = following
        if self._cancelled:
            following.cancel()
        try:
            item = following.result()
        except CancelledError:
            raise CancelledCallError from None
        if item is None:
            raise StopIteration
        return item

    def cancel(self) -> None:
        """Wait for no more items; called on the loop."""
        self._cancelled = True
        if self._following is not None:
            self._following.cancel()

    async def _next(self) -> Payload | None:
        return await anext(self._incoming, None)
