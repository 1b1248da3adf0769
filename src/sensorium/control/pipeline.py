"""The path of a call: authorise, admit, place, run, record. The real `Dispatcher`."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, aclosing
from functools import partial
from typing import Any

import msgspec
from msgspec import Struct

from sensorium.control.access import Access
from sensorium.control.body import Bodies, Body
from sensorium.control.changes import Changes
from sensorium.control.context import CallContext
from sensorium.control.idle import Idle, watched
from sensorium.control.onloop import OnLoop
from sensorium.control.processes import Processes
from sensorium.control.record import Record, code_of
from sensorium.control.settings import ControlSettings
from sensorium.control.threads import Threads
from sensorium.core.dispatch import LOCAL, Answer, Caller, Encoded, Payload, Principal
from sensorium.core.errors import DeadlineExceededError, NotSupportedError, SensoriumError
from sensorium.core.execution import read_request
from sensorium.core.operation import Execution, Kind, Operation
from sensorium.core.registry import Registry
from sensorium.core.telemetry import Telemetry, request_id
from sensorium.core.within import Within

_ON_LOOP = (Execution.INLINE, Execution.ASYNC)


class Pipeline:
    """Runs calls. `processes` is None in a program that uses Sensorium as a library."""

    def __init__(
        self,
        registry: Registry,
        settings: ControlSettings,
        telemetry: Telemetry,
        access: Access,
        changes: Changes,
        threads: Threads,
        processes: Processes | None,
    ) -> None:
        self.parts: dict[type[Any], Any] = {}
        """What `Context.get` gives out, by type."""
        self._registry = registry
        self._settings = settings
        self._telemetry = telemetry
        self._access = access
        self._changes = changes
        self._threads = threads
        self._processes = processes
        self._bodies = Bodies(settings.max_pending_bytes)
        self._on_loop = OnLoop(
            self._bodies,
            settings.max_inline_bytes,
            settings.max_body_bytes,
            self._context,
            self._read_elsewhere,
        )

    @property
    def registry(self) -> Registry:
        """The operations there are."""
        return self._registry

    def identify(self, credential: str | None) -> Principal:
        """See `Dispatcher.identify`."""
        return self._access.identify(credential)

    def renew(self, principal: Principal) -> Principal:
        """See `Dispatcher.renew`."""
        return self._access.renew(principal)

    def authorise(self, principal: Principal, name: str) -> None:
        """See `Dispatcher.authorise`."""
        self._access.authorise(principal, name, public=False)

    async def call(self, name: str, payload: Payload, caller: Caller) -> Answer:
        """See `Dispatcher.call`."""
        operation = self._admit(name, caller)
        if operation.kind is not Kind.UNARY:
            raise NotSupportedError(f"{name} streams its answer; this way of calling it does not")
        record = Record(self._telemetry, name, caller)
        try:
            if operation.changes:
                payload = await self._on_loop.whole(payload, large=operation.large)
                answer = await self._change(operation, payload, caller)
            else:
                answer = await self._run(operation, payload, caller)
        except BaseException as error:
            raise record.failed(error) from None
        record.ended("ok")
        return answer

    async def stream(
        self,
        name: str,
        payload: Payload,
        caller: Caller,
        incoming: AsyncIterator[Payload | None] | None = None,
    ) -> AsyncGenerator[Answer, None]:
        """See `Dispatcher.stream`."""
        operation = self._admit(name, caller)
        if operation.kind is Kind.UNARY:
            raise NotSupportedError(f"{name} does not stream its answer")
        if operation.kind is Kind.DUPLEX and incoming is None:
            raise NotSupportedError(f"{name} listens; this way of calling it sends it nothing")
        record = Record(self._telemetry, name, caller)
        idle = Idle(self._limit_s(operation, caller))
        heard = None if incoming is None else idle.touched_by(incoming)
        code = "ok"
        try:
            items = self._items(operation, payload, caller, heard)
            async with aclosing(watched(items, idle)) as in_time:
                async for item in in_time:
                    yield item
        except BaseException as error:
            code = code_of(error)
            raise record.failed(error) from None
        finally:
            if operation.changes:
                self._changes.note(operation, caller, code)
        record.ended("ok")

    def _admit(self, name: str, caller: Caller) -> Operation:
        request_id.set(caller.request_id)
        known = ""
        try:
            operation = self._registry.get(name)
            known = name
            self._access.authorise(caller.principal, name, public=operation.public)
        except SensoriumError as error:
            self._telemetry.refusals[known, error.code] += 1
            raise
        return operation

    async def _change(
        self, operation: Operation, payload: Payload, caller: Caller, *, nested: bool = False
    ) -> Answer:
        """Run what changes something; one that only waits for another's answer is timed too."""
        run = partial(self._run, operation, payload, caller, nested=nested)
        try:
            async with asyncio.timeout(self._limit_s(operation, caller)):
                return await self._changes.make(operation, payload, caller, run)
        except TimeoutError:
            raise DeadlineExceededError from None

    async def _run(
        self, operation: Operation, payload: Payload, caller: Caller, *, nested: bool = False
    ) -> Answer:
        """Run a unary operation under its deadline."""
        if operation.execution is Execution.INLINE and not _arriving(payload):
            return self._on_loop.inline(operation, payload)
        limit_s = self._limit_s(operation, caller)
        deadline = time.monotonic() + limit_s
        try:
            with Within(limit_s):
                if operation.execution in _ON_LOOP:
                    return await self._on_loop.unary(operation, payload, caller, deadline)
                return await self._off_loop(operation, payload, caller, deadline, nested=nested)
        except TimeoutError:
            raise DeadlineExceededError(
                f"{operation.name} was not done within {limit_s:g} s"
            ) from None

    async def _off_loop(
        self,
        operation: Operation,
        payload: Payload,
        caller: Caller,
        deadline: float,
        *,
        nested: bool,
    ) -> Answer:
        async with AsyncExitStack() as stack:
            if not isinstance(payload, Encoded) and not self._wants_process(operation):
                return await self._threads.unary(
                    operation, payload, caller, deadline, nested=nested
                )
            body = await self._gather(stack, payload)
            if self._processes is not None and self._wants_process(operation, body):
                return await self._processes.unary(operation, body, caller, deadline, nested=nested)
            return await self._threads.unary(operation, body, caller, deadline, nested=nested)

    async def _items(
        self,
        operation: Operation,
        payload: Payload,
        caller: Caller,
        incoming: AsyncIterator[Payload] | None,
    ) -> AsyncGenerator[Answer, None]:
        """The items of a stream, wherever they come from."""
        async with AsyncExitStack() as stack:
            if operation.execution in _ON_LOOP:
                deadline = time.monotonic() + self._limit_s(operation, caller)
                source = self._on_loop.stream(operation, payload, caller, incoming, deadline)
            elif self._processes is not None and self._wants_process(operation):
                body = await self._gather(stack, payload)
                source = self._processes.stream(operation, body, caller, incoming)
            else:
                whole = await self._on_loop.whole(payload)
                source = self._threads.stream(operation, whole, caller, incoming)
            items = await stack.enter_async_context(aclosing(source))
            async for item in items:
                yield item

    async def _read_elsewhere(
        self, operation: Operation, body: Body, caller: Caller, deadline: float
    ) -> Struct:
        """A request that is too large to be read on the event loop."""
        if self._processes is not None:
            return await self._processes.read(operation, body, caller, deadline)
        limit = self._settings.max_body_bytes
        return await asyncio.to_thread(lambda: read_request(operation, body.whole(), limit))

    async def _gather(self, stack: AsyncExitStack, payload: Payload) -> Body:
        if not isinstance(payload, Encoded):
            payload = Encoded(msgspec.json.encode(payload))
        limit = self._settings.max_body_bytes
        return await stack.enter_async_context(self._bodies.gather(payload, limit))

    def _wants_process(self, operation: Operation, body: Body | None = None) -> bool:
        """Whether it goes to a worker process: for what it is, or for its size."""
        if self._processes is None:
            return False
        big = body is not None and (
            body.size > self._settings.escalate_bytes or body.source.content_encoding != ""
        )
        return operation.execution is Execution.PROCESS or big

    def _limit_s(self, operation: Operation, caller: Caller) -> float:
        if caller.principal is LOCAL:  # whoever uses it as a library may take any time
            return caller.deadline_s or self._settings.deadline_s
        own = min(operation.deadline_s, self._settings.deadline_s)
        return min(caller.deadline_s or own, own)

    async def nested(self, name: str, payload: Payload, caller: Caller) -> Answer:
        """See `control.context.Owner`; not authorised, and never waits for a slot."""
        operation = self._registry.get(name)
        run = self._change if operation.changes else self._run
        return await run(operation, payload, caller, nested=True)

    def _context(self, caller: Caller, deadline: float | None) -> CallContext:
        return CallContext(self, caller, deadline, self.parts)


def _arriving(payload: Payload) -> bool:
    return isinstance(payload, Encoded) and not isinstance(payload.body, bytes | bytearray)
