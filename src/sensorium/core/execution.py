"""Running an operation on whatever thread or process one is on: read, validate, call, encode."""

import logging
from collections.abc import Iterable, Iterator

from msgspec import Struct

from sensorium.core.codec import decode_item, decode_request, encode_answer, validate
from sensorium.core.dispatch import Answer, Encoded, Payload
from sensorium.core.errors import OverloadedError, SensoriumError
from sensorium.core.operation import Operation, WorkContext

log = logging.getLogger("sensorium.execution")


def read_request(operation: Operation, payload: Payload, max_bytes: int) -> Struct:
    """The validated request, from a body or from a Struct made in Python."""
    if isinstance(payload, Encoded):
        return decode_request(operation, payload, max_bytes)
    return validate(_expected(payload, operation.request, operation.name))


def read_item(operation: Operation, payload: Payload, max_bytes: int) -> Struct:
    """One validated item for an operation that listens."""
    if isinstance(payload, Encoded):
        return decode_item(operation, payload, max_bytes)
    assert operation.incoming is not None
    return validate(_expected(payload, operation.incoming, operation.name))


def encoded_answer(operation: Operation, answer: Answer, media_type: str) -> bytes:
    """An answer in the form that its caller asked for."""
    if answer.value is None:
        return answer.encoded
    return encode_answer(operation, answer.value, media_type)


def compute(operation: Operation, payload: Payload, context: WorkContext, max_bytes: int) -> Struct:
    """What a unary operation returns.

    Raises:
        SensoriumError: only these; whatever else goes wrong is logged and becomes `internal`.
    """
    with only_our_errors(operation.name):
        request = read_request(operation, payload, max_bytes)
        context.check()
        answer: Struct = operation.function(request, context)
        return answer


def compute_stream(
    operation: Operation,
    payload: Payload,
    incoming: Iterable[Payload] | None,
    context: WorkContext,
    max_bytes: int,
) -> Iterator[Struct]:
    """What a streaming operation yields, item by item; errors as for `compute`."""
    with only_our_errors(operation.name):
        request = read_request(operation, payload, max_bytes)
        if incoming is None:
            yield from operation.function(request, context)
        else:
            items = (read_item(operation, item, max_bytes) for item in incoming)
            yield from operation.function(request, items, context)


class only_our_errors:  # noqa: N801 - it reads as the function that it could be
    """Let only `SensoriumError`s out. A plain class: it is entered several times for each call."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if not isinstance(error, Exception) or isinstance(error, SensoriumError):
            return
        if isinstance(error, MemoryError):
            raise OverloadedError("the request needs more memory than there is") from None
        log.error("%s failed", self._name, exc_info=error, extra={"operation": self._name})
        raise SensoriumError from None


def _expected(payload: Struct, kind: type[Struct], name: str) -> Struct:
    if not isinstance(payload, kind):
        raise TypeError(f"{name} takes {kind.__name__}, not {type(payload).__name__}")
    return payload
