"""The methods of every operation: bytes in, the dispatcher, bytes out.

No message is decoded here: requests travel as bytes to where the operation runs, and answers come
back as bytes from there.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

import grpc

from sensorium.core.codec import PROTOBUF
from sensorium.core.dispatch import ANONYMOUS, Answer, Dispatcher, Encoded
from sensorium.core.errors import (
    DeadlineExceededError,
    NotFoundError,
    SensoriumError,
)
from sensorium.core.execution import encoded_answer
from sensorium.core.operation import Kind, Operation
from sensorium.core.protobuf.layout import title
from sensorium.core.protobuf.schema import PACKAGE, service_name
from sensorium.transports.grpc.calls import Context, caller_of, fail
from sensorium.transports.grpc.listening import Incoming

PREFIX = f"/{PACKAGE}."
SERVICE = "Service"


class GrpcDoor(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Serves a dispatcher's operations."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher
        self._handlers: dict[str, Any] = {}

    def service(self, details: grpc.HandlerCallDetails) -> Any:
        """What serves a method; None for services that are not ours."""
        method = details.method
        if not method.startswith(PREFIX):
            return None
        found = self._handlers.get(method)
        if found is None:
            try:
                operation = self._dispatcher.registry.get(operation_name(method))
            except SensoriumError as error:
                return grpc.unary_unary_rpc_method_handler(_refusing(error))
            found = self._handlers[method] = self._handler(operation)
        return found

    def _handler(self, operation: Operation) -> Any:
        if operation.kind is Kind.UNARY:
            return grpc.unary_unary_rpc_method_handler(self._unary(operation))
        if operation.kind is Kind.SERVER_STREAM:
            return grpc.unary_stream_rpc_method_handler(self._server_stream(operation))
        return grpc.stream_stream_rpc_method_handler(self._duplex(operation))

    def _unary(self, operation: Operation) -> Any:
        async def serve(request: bytes, context: Context) -> bytes:
            try:
                caller = caller_of(self._dispatcher, context)
                payload = Encoded(request, len(request), PROTOBUF)
                answer = await self._dispatcher.call(operation.name, payload, caller)
                return encoded_answer(operation, answer, PROTOBUF)
            except Exception as error:
                await fail(context, error)
                raise AssertionError from error  # not reached: a failed call is aborted

        return serve

    def _server_stream(self, operation: Operation) -> Any:
        async def serve(request: bytes, context: Context) -> AsyncIterator[bytes]:
            try:
                caller = caller_of(self._dispatcher, context)
                payload = Encoded(request, len(request), PROTOBUF)
                items = self._dispatcher.stream(operation.name, payload, caller)
                async for item in _written(operation, items):
                    yield item
            except Exception as error:
                await fail(context, error)

        return serve

    def _duplex(self, operation: Operation) -> Any:
        async def serve(messages: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
            incoming = Incoming(messages)
            try:
                caller = caller_of(self._dispatcher, context)
                if caller.principal is ANONYMOUS and not operation.public:
                    self._dispatcher.authorise(caller.principal, operation.name)
                parts = incoming.parts()
                payload = await _first(parts, operation.deadline_s)
                items = self._dispatcher.stream(operation.name, payload, caller, parts)
                async for item in _written(operation, items):
                    yield item
            except Exception as error:
                await incoming.hear_out()
                await fail(context, error)
            finally:
                incoming.close()

        return serve


def operation_name(method: str) -> str:
    """`/sensorium.v1.LogsService/Cluster` as `logs.cluster`.

    Raises:
        NotFoundError: no operation can have that method.
    """
    service, _, verb = method.removeprefix(PREFIX).partition("/")
    noun, verb = _snake(service.removesuffix(SERVICE)), _snake(verb)
    # Other spellings of one name are others.
    if method != f"{PREFIX}{service_name(noun)}/{title(verb)}":
        raise NotFoundError("there is no such method; reflection lists those there are")
    return f"{noun}.{verb}"


def _snake(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_")


async def _written(
    operation: Operation, items: AsyncGenerator[Answer, None]
) -> AsyncGenerator[bytes, None]:
    async with aclosing(items):
        async for item in items:
            yield encoded_answer(operation, item, PROTOBUF)


async def _first(parts: AsyncGenerator[Encoded, None], within_s: float) -> Encoded:
    try:
        async with asyncio.timeout(within_s):
            return await anext(parts)
    except TimeoutError:
        raise DeadlineExceededError("the first message did not come in time") from None


def _refusing(error: SensoriumError) -> Any:
    async def refuse(request: bytes, context: Context) -> bytes:
        await fail(context, error)
        raise AssertionError from error

    return refuse
