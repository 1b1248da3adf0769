"""gRPC as a driver: JSON becomes messages by our own layout, and answers JSON again.

That messages mean to others what they mean to us is shown elsewhere, with clients that are made
from the `.proto` files.
"""

import asyncio
import base64
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from typing import Any

import grpc
import msgspec
from msgspec import Struct

from sensorium.core.errors import InvalidInputError
from sensorium.core.operation import Kind, Operation
from sensorium.core.protobuf.codec import NounCodec, codec_of
from sensorium.core.protobuf.layout import (
    Choice,
    Items,
    Mapping,
    Message,
    Nullable,
    Scalar,
    Shape,
    fields_of,
    title,
)
from sensorium.transports.grpc.errors import ERROR
from sensorium.transports.grpc.listening import Stream
from tests.conformance import drivers
from tests.conformance.driver import Call, Outcome
from tests.conformance.samples import BadRequest

STATUS = {
    grpc.StatusCode.DEADLINE_EXCEEDED: "deadline_exceeded",
    grpc.StatusCode.CANCELLED: "cancelled",
}
"""What grpcio says of its own accord, without our metadata."""


class GrpcDriver(drivers._ServerDriver):
    """gRPC: all calls over one channel."""

    name = "grpc"

    def __init__(
        self, url: str, process_id: int, port: int, operations: Iterable[Operation]
    ) -> None:
        super().__init__(url, process_id)
        unlimited = [("grpc.max_receive_message_length", -1)]
        self._channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}", unlimited)
        self._operations = {each.name: each for each in operations}

    async def close(self) -> None:
        await self._channel.close()
        await super().close()

    async def call(self, call: Call) -> Outcome:
        outcome = Outcome()
        operation = self._operations.get(call.name)
        options: dict[str, Any] = {"timeout": call.deadline_s}
        if call.key is not None:
            options["metadata"] = (("authorization", f"Bearer {call.key}"),)
        try:
            if operation is None:
                await self._channel.unary_unary(method_of(call.name))(b"", **options)
            else:
                await self._call(operation, call, outcome, options)
            outcome.ended = True
        except grpc.aio.AioRpcError as error:
            _read_error(outcome, error)
        return outcome

    async def _call(
        self, operation: Operation, call: Call, outcome: Outcome, options: dict[str, Any]
    ) -> None:
        codec, method = codec_of(operation), method_of(operation.name)
        request = to_message(codec, operation.request, call.body)
        assert request is not None, call.body
        if operation.kind is Kind.UNARY:
            answer = await self._channel.unary_unary(method)(request, **options)
            outcome.items.append(_json(codec, operation, answer))
            return
        if operation.kind is Kind.SERVER_STREAM:
            answers = self._channel.unary_stream(method)(request, **options)
        else:
            assert call.incoming is not None
            sent = _messages(operation, codec, request, call.incoming)
            answers = self._channel.stream_stream(method)(sent, **options)
        try:
            async for answer in answers:
                drivers._hear(outcome, call, _json(codec, operation, answer))
        finally:
            answers.cancel()

    def carries(self, operation: Operation, bad: BadRequest) -> bool:
        return to_message(codec_of(operation), operation.request, bad.body) is not None

    def carries_item(self, operation: Operation, bad: BadRequest) -> bool:
        assert operation.incoming is not None
        return to_message(codec_of(operation), operation.incoming, bad.body) is not None


def method_of(name: str) -> str:
    """`logs.cluster` as `/sensorium.v1.LogsService/Cluster`."""
    noun, _, verb = name.partition(".")
    return f"/sensorium.v1.{title(noun)}Service/{title(verb)}"


def to_message(codec: NounCodec, kind: type[Struct], body: bytes) -> bytes | None:
    """A JSON request as a message, unchecked; None where no message can say the same."""
    try:
        values = msgspec.json.decode(body)
        message = codec.to_bytes(_built(kind, values))
        same = _same(codec.from_bytes(kind, message), values)
    except InvalidInputError:  # so wrong that its reading ends before it is compared
        return message
    except (msgspec.MsgspecError, RecursionError, TypeError, ValueError, KeyError, AttributeError):
        return None
    return message if same else None


def _built(kind: type[Struct], values: dict[str, Any]) -> Struct:
    """A Struct of these values, whatever their bounds; what is not there is left out."""
    fields = {field.name: field for field in fields_of(kind)}
    if unknown := values.keys() - fields.keys():
        raise ValueError(f"no field {unknown}")
    built = {
        field.attribute: _value(field.shape, values.get(name)) for name, field in fields.items()
    }
    return kind(**built)


def _value(shape: Shape, value: Any) -> Any:
    if value is None:
        return None
    match shape:
        case Message(struct):
            return _built(struct, value)
        case Choice(options, tag_field):
            rest = {key: inner for key, inner in value.items() if key != tag_field}
            return _built(dict(options)[value[tag_field]], rest)
        case Items(item):
            if not isinstance(value, list):
                raise TypeError
            return [_value(item, each) for each in value]
        case Mapping(inner):
            return {key: _value(inner, each) for key, each in value.items()}
        case Nullable(item):
            return _value(item, value)
        case Scalar():
            return _scalar(shape, value)
    return value


def _scalar(shape: Scalar, value: Any) -> Any:
    match shape:
        case Scalar("int64") if isinstance(value, bool):
            raise TypeError
        case Scalar("bytes", json=None):
            return base64.b64decode(value, validate=True)
        case Scalar(json="raw"):
            return msgspec.Raw(msgspec.json.encode(value))
    return value


def _same(read: Any, given: Any) -> bool:
    """Whether a message says what was given: of nothing and of empty lists it says nothing."""
    if isinstance(read, msgspec.Raw):
        read = msgspec.json.decode(read)
    if isinstance(read, bytes):
        read = base64.b64encode(read).decode()
    if isinstance(read, dict) and isinstance(given, dict):
        silent = (None, [], {})
        return all(
            _same(read[key], given[key])
            if key in read and key in given
            else (key in given and given[key] in silent) or (key in read and read[key] is None)
            for key in {*read, *given}
        )
    if isinstance(read, list) and isinstance(given, list):
        return len(read) == len(given) and all(map(_same, read, given))
    return bool(read == given)


async def _messages(
    operation: Operation, codec: NounCodec, request: bytes, incoming: AsyncIterable[bytes]
) -> AsyncIterator[bytes]:
    yield Stream(request=request).SerializeToString()
    assert operation.incoming is not None
    async for item in incoming:
        message = to_message(codec, operation.incoming, item)
        assert message is not None, item
        yield Stream(item=message).SerializeToString()


def _json(codec: NounCodec, operation: Operation, answer: bytes) -> bytes:
    values = codec.from_bytes(operation.response, answer)
    try:
        return msgspec.json.encode(
            msgspec.convert(values, operation.response, builtin_types=(bytes,))
        )
    except msgspec.ValidationError as error:
        raise AssertionError(f"{operation.name} answered {values}: {error}") from None


def _read_error(outcome: Outcome, error: grpc.aio.AioRpcError) -> None:
    trailers = dict(error.trailing_metadata() or ())
    if (body := trailers.get(ERROR)) is not None:
        found = msgspec.json.decode(body, type=drivers._Error)
        assert error.details() == found.message
        drivers._read_error(outcome, found)
    else:
        outcome.code = STATUS.get(error.code(), str(error.code()))
        outcome.message = error.details() or ""


async def port_of(http: drivers.HttpDriver) -> int:
    """The port that a server has for gRPC, once it has one."""
    while True:
        answer = await http.call(Call("system.ready"))
        port = msgspec.json.decode(answer.items[0])["ports"].get("grpc")
        if port is not None:
            return int(port)
        await asyncio.sleep(0.02)
