"""Calls computed in this process: no server, no worker processes."""

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator
from contextlib import AsyncExitStack, aclosing, contextmanager

from msgspec import Struct

from sensorium.app import App, Settings, load_settings
from sensorium.client.options import Options
from sensorium.control.record import Record
from sensorium.core.execution import compute, compute_stream
from sensorium.core.operation import Execution, Operation, Work


class Local:
    """An app without worker processes. Its async half belongs to the loop that first calls it."""

    def __init__(self, settings: Settings | None) -> None:
        self.app = App(settings or load_settings(), isolated=False)
        self._max_bytes = self.app.settings.control.max_body_bytes
        self._stack = AsyncExitStack()
        self._starting: asyncio.Task[App] | None = None
        self._counting = threading.Lock()

    async def call(self, operation: Operation, request: Struct, options: Options) -> Struct:
        """See `Backend.call`."""
        await self._start()
        answer = await self.app.dispatcher.call(operation.name, request, options.caller())
        return answer.read(operation.response)

    async def stream(
        self,
        operation: Operation,
        request: Struct,
        incoming: AsyncIterator[Struct] | None,
        options: Options,
    ) -> AsyncGenerator[Struct, None]:
        """See `Backend.stream`."""
        await self._start()
        caller = options.caller()
        items = self.app.dispatcher.stream(operation.name, request, caller, incoming)
        async with aclosing(items):
            async for item in items:
                yield item.read(operation.response)

    async def close(self) -> None:
        """See `Backend.close`."""
        self.app.threads.stop()
        await self._stack.aclose()

    async def _start(self) -> None:
        if self._starting is None:
            self._starting = asyncio.ensure_future(
                self._stack.enter_async_context(self.app.running())
            )
        await asyncio.shield(self._starting)

    @staticmethod
    def computes_here(operation: Operation) -> bool:
        """Whether it needs no event loop: it can run on the thread that calls.

        Nothing is shared then but counters, so several threads may do it at once. What changes
        something goes through the dispatcher, which keeps its idempotency keys.
        """
        return operation.execution is not Execution.ASYNC and not operation.changes

    def call_here(self, operation: Operation, request: Struct, options: Options) -> Struct:
        """The answer of a unary operation that `computes_here`; no deadline unless given one."""
        with self._recorded(operation, options):
            return compute(operation, request, _work(options), self._max_bytes)

    def stream_here(
        self,
        operation: Operation,
        request: Struct,
        incoming: Iterable[Struct] | None,
        options: Options,
    ) -> Iterator[Struct]:
        """The items of a streaming operation that `computes_here`."""
        with self._recorded(operation, options):
            yield from compute_stream(operation, request, incoming, Work(), self._max_bytes)

    @contextmanager
    def _recorded(self, operation: Operation, options: Options) -> Iterator[None]:
        with self._counting:
            record = Record(self.app.telemetry, operation.name, options.caller())
        try:
            yield
        except BaseException as error:
            with self._counting:
                record.failed(error)
            raise
        with self._counting:
            record.ended("ok")


def _work(options: Options) -> Work:
    timeout_s = options.timeout_s
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    return Work(deadline, options.on_progress)
