"""The worker's end of a call: bytes in, the operation run, bytes out.

The workers floor knows only `serve` below, by its address; it moves the bytes.
"""

import time
from collections.abc import Iterator
from functools import cache
from os import devnull
from pathlib import Path
from typing import Protocol, TypeVar

import msgspec
from msgspec import Struct

from sensorium.core import settings
from sensorium.core.codec import encode_answer, raw_fields
from sensorium.core.dispatch import Encoded
from sensorium.core.errors import PayloadTooLargeError, SensoriumError
from sensorium.core.execution import compute, compute_stream, only_our_errors, read_request
from sensorium.core.loading import load
from sensorium.core.operation import Kind, Operation, Work, operation_of
from sensorium.core.telemetry import LogSettings, request_id, set_up_logging

S = TypeVar("S", bound=Struct)
SERVE = "sensorium.core.remote:serve"
MAX_READ_AGAIN = 1 << 20


class CallHeader(Struct, frozen=True, kw_only=True):
    """What a worker is told of a call beside its body."""

    target: str
    timeout_s: float | None = None
    cpu_s: float | None = None
    max_bytes: int
    media_type: str = "application/json"
    content_encoding: str = ""
    fields: dict[str, str] = {}
    request_id: str = ""
    answer_type: str = "application/json"
    only_read: bool = False
    """Answer with the request itself, read and validated."""


class Channel(Protocol):
    """What the workers floor offers to the code that serves a call."""

    def send(self, body: bytes) -> None:
        """Send the answer, or one item of it; waits while the other end is slow."""

    def report(self, body: bytes) -> None:
        """Send a progress report."""

    def fail(self, body: bytes) -> None:
        """End the call with an error."""

    def incoming(self) -> Iterator[bytes]:
        """The items sent to a listening call, until its sender ends."""

    def on_cancel(self, work: Work) -> None:
        """Have `work.cancel` called when the call is cancelled."""


class Report(Struct, frozen=True, array_like=True):
    """A progress report as data."""

    done: int
    total: int | None
    unit: str


def pack_item(media_type: str, body: bytes | bytearray) -> bytes:
    """An item for a listening call, as bytes that say what they are."""
    return media_type.encode() + b"\n" + body


def pack_request(request: Struct) -> bytes:
    """A request that was read where it will not run, as bytes for `unpack_request`.

    Raises:
        PayloadTooLargeError: much of it would have to be read again there, and is not mere bytes.
    """
    unread = raw_fields(type(request))
    if not unread:
        return msgspec.msgpack.encode(request)
    packed = msgspec.json.encode(request)  # what is JSON as it came, nothing but JSON carries on
    read = len(packed) - sum(len(memoryview(getattr(request, name))) for name in unread)
    if read > MAX_READ_AGAIN:
        raise PayloadTooLargeError(
            f"beside {', '.join(sorted(unread))} a request may have {MAX_READ_AGAIN} bytes here",
            details={"limit": MAX_READ_AGAIN},
        )
    return packed


def unpack_request(packed: bytes, kind: type[S]) -> S:
    """The request that `pack_request` packed."""
    if raw_fields(kind):
        return msgspec.json.decode(packed, type=kind)
    return msgspec.msgpack.decode(packed, type=kind)


def _unpack_item(item: bytes) -> Encoded:
    media_type, _, body = item.partition(b"\n")
    return Encoded(body, media_type=media_type.decode())


def serve(header: bytes, body: bytearray, channel: Channel) -> None:
    """Serve one call to its end."""
    _set_up_logging()
    call = msgspec.json.decode(header, type=CallHeader)
    request_id.set(call.request_id)
    deadline = None if call.timeout_s is None else time.monotonic() + call.timeout_s
    encode = msgspec.json.encode
    work = Work(deadline, lambda *report: channel.report(encode(Report(*report))), call.cpu_s)
    channel.on_cancel(work)
    payload = Encoded(
        body=body,
        media_type=call.media_type,
        content_encoding=call.content_encoding,
        fields=call.fields,
    )
    try:
        operation = operation_of(load(call.target))
        if call.only_read:
            with only_our_errors(operation.name):
                request = read_request(operation, payload, call.max_bytes)
            channel.send(pack_request(request))
        elif operation.kind is Kind.UNARY:
            answer = compute(operation, payload, work, call.max_bytes)
            channel.send(encode_answer(operation, answer, call.answer_type))
        else:
            _serve_stream(operation, payload, channel, work, call)
    except SensoriumError as error:
        channel.fail(encode(error.body()))


@cache
def _set_up_logging() -> None:
    """Log as the server does, which passes its settings on as environment variables."""
    structs, _ = settings.load({"log": LogSettings}, directory=Path(devnull))
    set_up_logging(structs["log"])


def _serve_stream(
    operation: Operation, payload: Encoded, channel: Channel, work: Work, call: CallHeader
) -> None:
    incoming = None
    if operation.kind is Kind.DUPLEX:
        incoming = map(_unpack_item, channel.incoming())
    for item in compute_stream(operation, payload, incoming, work, call.max_bytes):
        channel.send(encode_answer(operation, item, call.answer_type))
        work.check()
