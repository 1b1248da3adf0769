"""The in-memory twin of the real dispatcher: runs an operation where it is called.

For tests of doors and for whoever writes an operation: no keys, no queues, no other process. What
the real one promises of errors and cancellation, this one keeps too.
"""

import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import Any, Protocol, TypeVar

from msgspec import Struct

from sensorium.core.asking import Question
from sensorium.core.dispatch import LOCAL, Answer, Caller, Encoded, Payload, Principal
from sensorium.core.errors import NotSupportedError
from sensorium.core.execution import (
    compute,
    compute_stream,
    only_our_errors,
    read_item,
    read_request,
)
from sensorium.core.generation import Generation, Piece
from sensorium.core.operation import Execution, Inferred, Operation, Work
from sensorium.core.registry import Registry
from sensorium.core.tensors import Tensor

R = TypeVar("R")
MAX_BYTES = 64 << 20


class Models(Protocol):
    """What runs models: see `Context.infer` and `Context.generate`."""

    async def infer(
        self,
        model: str,
        inputs: Sequence[Tensor],
        *,
        outputs: Sequence[str] = (),
        version: str = "",
    ) -> Inferred:
        """The outputs of a model."""

    def generate(
        self, model: str, task: Generation, *, version: str = ""
    ) -> AsyncGenerator[Piece, None]:
        """The pieces of a text."""

    async def ask(
        self, model: str, question: Question, returns: type[R], *, version: str = ""
    ) -> R:
        """What a language model answers to something beside texts."""


class DirectDispatcher:
    """A `Dispatcher` over a registry. Streaming operations that compute are read to their end."""

    def __init__(self, registry: Registry, parts: dict[type[Any], Any] | None = None) -> None:
        self.registry = registry
        self.parts = parts or {}
        self.models: Models | None = None
        """What runs models, where there is anything."""

    def identify(self, credential: str | None) -> Principal:
        """Everybody is this very process."""
        del credential
        return LOCAL

    def authorise(self, principal: Principal, name: str) -> None:
        """Everything is allowed."""

    async def call(self, name: str, payload: Payload, caller: Caller) -> Answer:
        """See `Dispatcher.call`."""
        operation = self.registry.get(name)
        payload = await _whole(payload)
        deadline = time.monotonic() + (caller.deadline_s or operation.deadline_s)
        if operation.execution is not Execution.ASYNC:
            return Answer(compute(operation, payload, Work(deadline), MAX_BYTES))
        with only_our_errors(name):
            request = read_request(operation, payload, MAX_BYTES)
            value: Struct = await operation.function(request, _Context(self, caller, deadline))
        return Answer(value)

    async def stream(
        self,
        name: str,
        payload: Payload,
        caller: Caller,
        incoming: AsyncIterator[Payload | None] | None = None,
    ) -> AsyncGenerator[Answer, None]:
        """See `Dispatcher.stream`."""
        operation = self.registry.get(name)
        payload = await _whole(payload)
        if operation.execution is Execution.ASYNC:
            async for answer in self._on_loop(operation, payload, caller, incoming):
                yield answer
            return
        items = None if incoming is None else [i async for i in incoming if i is not None]
        for value in compute_stream(operation, payload, items, Work(), MAX_BYTES):
            yield Answer(value)

    async def _on_loop(
        self,
        operation: Operation,
        payload: Payload,
        caller: Caller,
        incoming: AsyncIterator[Payload | None] | None,
    ) -> AsyncGenerator[Answer, None]:
        with only_our_errors(operation.name):
            arguments: list[Any] = [read_request(operation, payload, MAX_BYTES)]
            if incoming is not None:
                arguments.append(
                    read_item(operation, item, MAX_BYTES)
                    async for item in incoming
                    if item is not None
                )
            async for value in operation.function(*arguments, _Context(self, caller, None)):
                yield Answer(value)


class _Context:
    """The `Context` of a call."""

    def __init__(self, owner: DirectDispatcher, caller: Caller, deadline: float | None) -> None:
        self.deadline = deadline
        self._owner = owner
        self._caller = caller

    async def call(self, name: str, request: Struct, *, returns: type[R]) -> R:
        """See `Context.call`."""
        return (await self._owner.call(name, request, self._caller)).read(returns)

    async def relay(self, name: str, body: bytes) -> bytes:
        """See `Context.relay`."""
        return (await self._owner.call(name, Encoded(body), self._caller)).json()

    def authorise(self, name: str) -> None:
        """See `Context.authorise`."""
        self._owner.authorise(self._caller.principal, name)

    async def infer(
        self,
        model: str,
        inputs: Sequence[Tensor],
        *,
        outputs: Sequence[str] = (),
        version: str = "",
    ) -> Inferred:
        """See `Context.infer`."""
        return await self._models().infer(model, inputs, outputs=outputs, version=version)

    def generate(
        self, model: str, task: Generation, *, version: str = ""
    ) -> AsyncGenerator[Piece, None]:
        """See `Context.generate`."""
        return self._models().generate(model, task, version=version)

    async def ask(
        self, model: str, question: Question, returns: type[R], *, version: str = ""
    ) -> R:
        """See `Context.ask`."""
        return await self._models().ask(model, question, returns, version=version)

    def _models(self) -> Models:
        if self._owner.models is None:
            raise NotSupportedError("there are no models here")
        return self._owner.models

    def get(self, part: type[R]) -> R:
        """See `Context.get`."""
        found: R = {**self._owner.parts, Caller: self._caller}[part]
        return found


async def _whole(payload: Payload) -> Payload:
    if not isinstance(payload, Encoded) or isinstance(payload.body, bytes | bytearray):
        return payload
    body = b"".join([piece async for piece in payload.body])
    return Encoded(body, len(body), payload.media_type, payload.content_encoding, payload.fields)
