"""The methods of every operation: bytes in, the dispatcher, bytes out.

No message is decoded here: requests travel as bytes to where the operation runs, and answers come
back as bytes from there.
"""

import asyncio
import logging
import os
import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

import grpc

from sensorium.core.codec import PROTOBUF
from sensorium.core.dispatch import ANONYMOUS, Answer, Caller, Dispatcher, Encoded, Priority
from sensorium.core.errors import (
    DeadlineExceededError,
    InvalidInputError,
    NotFoundError,
    SensoriumError,
)
from sensorium.core.execution import encoded_answer
from sensorium.core.operation import Kind, Operation
from sensorium.core.protobuf.layout import title
from sensorium.core.protobuf.schema import PACKAGE, service_name
from sensorium.transports.grpc.errors import status_of, trailers_of
from sensorium.transports.grpc.listening import Incoming

log = logging.getLogger("sensorium.grpc")
Context = Any  # grpc.aio.ServicerContext; grpcio ships no types
PREFIX = f"/{PACKAGE}."
SERVICE = "Service"
REQUEST_ID = "x-request-id"
_REQUEST_ID = re.compile(r"[\w.:-]{1,128}", re.ASCII)


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
                caller = self._caller(context)
                payload = Encoded(request, len(request), PROTOBUF)
                answer = await self._dispatcher.call(operation.name, payload, caller)
                return encoded_answer(operation, answer, PROTOBUF)
            except Exception as error:
                await _fail(context, error)
                raise AssertionError from error  # not reached: a failed call is aborted

        return serve

    def _server_stream(self, operation: Operation) -> Any:
        async def serve(request: bytes, context: Context) -> AsyncIterator[bytes]:
            try:
                caller = self._caller(context)
                payload = Encoded(request, len(request), PROTOBUF)
                items = self._dispatcher.stream(operation.name, payload, caller)
                async for item in _written(operation, items):
                    yield item
            except Exception as error:
                await _fail(context, error)

        return serve

    def _duplex(self, operation: Operation) -> Any:
        async def serve(messages: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
            incoming = Incoming(messages)
            try:
                caller = self._caller(context)
                if caller.principal is ANONYMOUS and not operation.public:
                    self._dispatcher.authorise(caller.principal, operation.name)
                parts = incoming.parts()
                payload = await _first(parts, operation.deadline_s)
                items = self._dispatcher.stream(operation.name, payload, caller, parts)
                async for item in _written(operation, items):
                    yield item
            except Exception as error:
                await incoming.hear_out()
                await _fail(context, error)
            finally:
                incoming.close()

        return serve

    def _caller(self, context: Context) -> Caller:
        """Who calls and how, as the metadata says.

        Raises:
            UnauthenticatedError: the key is nobody's.
            InvalidInputError: the priority is none.
        """
        metadata = {
            key: value if isinstance(value, str) else value.decode("latin-1")
            for key, value in context.invocation_metadata() or ()
        }
        given = metadata.get(REQUEST_ID, "")
        request_id = given if _REQUEST_ID.fullmatch(given) else os.urandom(8).hex()
        context.set_trailing_metadata(((REQUEST_ID, request_id),))
        caller = Caller(
            self._dispatcher.identify(_credential(metadata)),
            request_id,
            "grpc",
            deadline_s=context.time_remaining(),
            idempotency_key=metadata.get("idempotency-key", "")[:256] or None,
            trace_parent=metadata.get("traceparent", "")[:128],
            answer_type=PROTOBUF,
        )
        if priority := metadata.get("x-priority"):
            if priority not in ("interactive", "batch"):
                raise InvalidInputError("x-priority is 'interactive' or 'batch'")
            caller.priority = Priority(priority)
        return caller


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


def _credential(metadata: dict[str, str]) -> str | None:
    scheme, _, token = metadata.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token:
        return token.strip()
    return metadata.get("x-api-key") or None


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
        await _fail(context, error)
        raise AssertionError from error

    return refuse


async def _fail(context: Context, error: Exception) -> None:
    """End the call with an error."""
    if isinstance(error, grpc.aio.AbortError):
        raise error
    if not isinstance(error, SensoriumError):
        log.error("a call failed", exc_info=error)
        error = SensoriumError()
    trailers = [*(context.trailing_metadata() or ()), *trailers_of(error)]
    await context.abort(status_of(error), error.message, tuple(trailers))
