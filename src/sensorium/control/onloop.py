"""Operations on the event loop: those that take microseconds, and those that await others."""

from asyncio import to_thread
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager

from msgspec import Struct

from sensorium.control.body import Bodies, Body, check_size
from sensorium.core.dispatch import Answer, Caller, Encoded, Payload
from sensorium.core.execution import only_our_errors, read_item, read_request
from sensorium.core.operation import Context, Execution, Operation, Work

MakeContext = Callable[[Caller, float | None], Context]
ReadElsewhere = Callable[[Operation, Body, Caller, float], Awaitable[Struct]]


class OnLoop:
    """Runs `INLINE` and `ASYNC` operations; what it decodes is small."""

    def __init__(
        self,
        bodies: Bodies,
        max_bytes: int,
        max_large_bytes: int,
        context: MakeContext,
        read_elsewhere: ReadElsewhere,
    ) -> None:
        self._bodies = bodies
        self._max_bytes = max_bytes
        self._max_large_bytes = max_large_bytes
        self._read_elsewhere = read_elsewhere
        self._context = context

    def inline(self, operation: Operation, payload: Payload) -> Answer:
        """Run an `INLINE` operation whose body is here already, without giving up control."""
        self._check(payload, self._max_bytes)
        with only_our_errors(operation.name):
            request = read_request(operation, payload, self._max_bytes)
            value: Struct = operation.function(request, Work())
        return Answer(value)

    async def unary(
        self, operation: Operation, payload: Payload, caller: Caller, deadline: float
    ) -> Answer:
        """Run a unary operation."""
        if operation.execution is Execution.INLINE:
            return self.inline(operation, await self.whole(payload))
        if self._is_small(operation, payload):
            return await self._answer(
                operation, await self._small(operation, payload), caller, deadline
            )
        async with self._large(operation, payload, caller, deadline) as request:
            return await self._answer(operation, request, caller, deadline)

    async def _answer(
        self, operation: Operation, request: Struct, caller: Caller, deadline: float
    ) -> Answer:
        with only_our_errors(operation.name):
            value: Struct = await operation.function(request, self._context(caller, deadline))
        return Answer(value)

    async def stream(
        self,
        operation: Operation,
        payload: Payload,
        caller: Caller,
        incoming: AsyncIterator[Payload] | None,
        deadline: float,
    ) -> AsyncGenerator[Answer, None]:
        """Run a streaming operation; its request is to be here by the deadline."""
        async with AsyncExitStack() as stack:
            if self._is_small(operation, payload):
                request = await self._small(operation, payload)
            else:
                large = self._large(operation, payload, caller, deadline)
                request = await stack.enter_async_context(large)
            items = () if incoming is None else (self._read_items(operation, incoming),)
            with only_our_errors(operation.name):
                values = operation.function(request, *items, self._context(caller, None))
                async with aclosing(values):
                    async for value in values:
                        yield Answer(value)

    async def whole(self, payload: Payload, *, large: bool = False) -> Payload:
        """The payload with its body here and in one piece; `large`: read elsewhere if need be."""
        limit = self._max_large_bytes if large else self._max_bytes
        if not isinstance(payload, Encoded) or isinstance(payload.body, bytes | bytearray):
            self._check(payload, limit)
            return payload
        async with self._bodies.gather(payload, limit) as body:
            return body.whole() if body.size <= self._max_bytes else await to_thread(body.whole)

    def _is_small(self, operation: Operation, payload: Payload) -> bool:
        """Whether the body is small, or has come and is small enough to be read on the loop."""
        if not (operation.large and isinstance(payload, Encoded)):
            return True
        body = payload.body
        return isinstance(body, bytes | bytearray) and len(body) <= self._max_bytes

    async def _small(self, operation: Operation, payload: Payload) -> Struct:
        payload = await self.whole(payload)
        with only_our_errors(operation.name):
            return read_request(operation, payload, self._max_bytes)

    @asynccontextmanager
    async def _large(
        self, operation: Operation, payload: Payload, caller: Caller, deadline: float
    ) -> AsyncIterator[Struct]:
        """The validated request; read elsewhere where that would hold up the event loop.

        What it takes counts among the bodies that are held until the operation is done with it.
        """
        assert isinstance(payload, Encoded)
        form = operation.forms.get(payload.media_type)
        light = form is not None and form.light and not payload.content_encoding
        async with self._bodies.gather(payload, self._max_large_bytes) as body:
            if body.size > self._max_bytes and not light:
                request = await self._read_elsewhere(operation, body, caller, deadline)
            else:
                small = body.size <= self._max_bytes
                whole = body.whole() if small else await to_thread(body.whole)
                with only_our_errors(operation.name):
                    request = read_request(operation, whole, self._max_bytes)
                del whole
            body.pieces.clear()  # the request has its own
            yield request

    @staticmethod
    def _check(payload: Payload, limit: int) -> None:
        """Refuse what is too large to be decoded here."""
        if isinstance(payload, Encoded) and isinstance(payload.body, bytes | bytearray):
            check_size(len(payload.body), limit)

    async def _read_items(
        self, operation: Operation, incoming: AsyncIterator[Payload]
    ) -> AsyncGenerator[Struct, None]:
        async for item in incoming:
            yield read_item(operation, item, self._max_bytes)
