"""Operations on the event loop: those that take microseconds, and those that await others."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

from msgspec import Struct

from sensorium.control.body import Bodies, check_size
from sensorium.core.dispatch import Answer, Caller, Encoded, Payload
from sensorium.core.execution import only_our_errors, read_item, read_request
from sensorium.core.operation import Context, Execution, Operation, Work

MakeContext = Callable[[Caller, float | None], Context]


class OnLoop:
    """Runs `INLINE` and `ASYNC` operations; what it decodes is small."""

    def __init__(self, bodies: Bodies, max_bytes: int, context: MakeContext) -> None:
        self._bodies = bodies
        self._max_bytes = max_bytes
        self._context = context

    def inline(self, operation: Operation, payload: Payload) -> Answer:
        """Run an `INLINE` operation whose body is here already, without giving up control."""
        self._check(payload)
        with only_our_errors(operation.name):
            request = read_request(operation, payload, self._max_bytes)
            value: Struct = operation.function(request, Work())
        return Answer(value)

    async def unary(
        self, operation: Operation, payload: Payload, caller: Caller, deadline: float
    ) -> Answer:
        """Run a unary operation."""
        payload = await self.whole(payload)
        if operation.execution is Execution.INLINE:
            return self.inline(operation, payload)
        with only_our_errors(operation.name):
            request = read_request(operation, payload, self._max_bytes)
            value: Struct = await operation.function(request, self._context(caller, deadline))
        return Answer(value)

    async def stream(
        self,
        operation: Operation,
        payload: Payload,
        caller: Caller,
        incoming: AsyncIterator[Payload] | None,
    ) -> AsyncGenerator[Answer, None]:
        """Run a streaming operation."""
        payload = await self.whole(payload)
        with only_our_errors(operation.name):
            arguments: list[Any] = [read_request(operation, payload, self._max_bytes)]
            if incoming is not None:
                arguments.append(self._read_items(operation, incoming))
            values = operation.function(*arguments, self._context(caller, None))
            async with aclosing(values):
                async for value in values:
                    yield Answer(value)

    async def whole(self, payload: Payload) -> Payload:
        """The payload with its body here and in one piece."""
        if not isinstance(payload, Encoded) or isinstance(payload.body, bytes | bytearray):
            self._check(payload)
            return payload
        async with self._bodies.gather(payload, self._max_bytes) as body:
            return body.whole()

    def _check(self, payload: Payload) -> None:
        """Refuse what is too large to be decoded here."""
        if isinstance(payload, Encoded) and isinstance(payload.body, bytes | bytearray):
            check_size(len(payload.body), self._max_bytes)

    async def _read_items(
        self, operation: Operation, incoming: AsyncIterator[Payload]
    ) -> AsyncGenerator[Struct, None]:
        async for item in incoming:
            yield read_item(operation, item, self._max_bytes)
