"""How a call looks on HTTP, and what a server's answer means."""

from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from sensorium.client.options import Options
from sensorium.core.dispatch import Priority
from sensorium.core.errors import (
    ErrorBody,
    InvalidInputError,
    MalformedInputError,
    SensoriumError,
    UnavailableError,
    from_body,
)
from sensorium.core.operation import Operation
from sensorium.core.version import VERSION


class _Problem(Struct):
    """What is read of a problem document."""

    code: str
    detail: str
    details: dict[str, Any] = {}
    request_id: str = ""


class _StreamLine(Struct):
    """A line of a streamed answer."""

    chunk: Raw | UnsetType = UNSET
    error: ErrorBody | None = None
    end: Raw | UnsetType = UNSET


def base_url(url: str) -> str:
    """The address, without a trailing slash.

    Raises:
        InvalidInputError: it is none.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InvalidInputError(
            f"{url!r} is not a server's address; one looks like http://127.0.0.1:8484"
        )
    before, slash, _ = f"{url.rstrip('/')}/".partition("/v1/")
    if slash:
        raise InvalidInputError(f"a server's address ends before /v1: {before}")
    return url.rstrip("/")


def path_of(operation: Operation) -> str:
    """Where an operation is below the server's address."""
    return "/v1/" + operation.name.replace(".", "/")


def headers_of(operation: Operation, options: Options, api_key: str | None) -> dict[str, str]:
    """The headers of a call. What changes something carries a key that makes it happen once."""
    headers = {"user-agent": f"sensorium/{VERSION}"}
    if api_key:
        headers["authorization"] = f"Bearer {api_key}"
    if options.timeout_s is not None:
        headers["x-deadline-s"] = f"{options.timeout_s:.6g}"
    if options.priority is not Priority.INTERACTIVE:
        headers["x-priority"] = options.priority.value
    if operation.changes:
        headers["idempotency-key"] = options.idempotency_key or uuid4().hex
    return headers


def read_answer(operation: Operation, body: bytes) -> Struct:
    """The Struct that a server answered with."""
    try:
        answer: Struct = msgspec.json.decode(body, type=operation.response)
    except msgspec.MsgspecError as error:
        raise _misunderstood(error) from None
    return answer


def read_error(status: int, headers: Mapping[str, str], body: bytes) -> SensoriumError:
    """The error that a response of that status stands for: of the class that the server raised."""
    try:
        problem = msgspec.json.decode(body, type=_Problem)
    except msgspec.MsgspecError:
        return UnavailableError(
            f"HTTP {status} came back, and not in the way that Sensorium answers: "
            "check the server's address, and what stands between",
            details={"status": status},
        )
    if status == 400:
        return MalformedInputError(problem.detail)
    after = headers.get("retry-after", "")
    error = from_body(
        ErrorBody(
            code=problem.code,
            message=problem.detail,
            details=problem.details,
            retry_after_s=float(after) if after.isdigit() else None,
        )
    )
    if error.code == "internal" and problem.request_id:
        error.add_note(f"request id {problem.request_id}")
    return error


async def read_stream(operation: Operation, lines: AsyncIterator[bytes]) -> AsyncIterator[Struct]:
    """The items in the lines of a streamed answer.

    Raises:
        SensoriumError: the server's own, or `UnavailableError` where the end is missing.
    """
    ended = False
    async for line in lines:
        if not line.strip():
            continue
        try:
            read = msgspec.json.decode(line, type=_StreamLine)
        except msgspec.MsgspecError as error:
            raise _misunderstood(error) from None
        if read.error is not None:
            raise from_body(read.error)
        if isinstance(read.chunk, Raw):
            yield read_answer(operation, bytes(read.chunk))
        ended = isinstance(read.end, Raw)
    if not ended:
        raise UnavailableError("the connection was lost in the middle of the stream")


def _misunderstood(error: msgspec.MsgspecError) -> SensoriumError:
    return UnavailableError(
        f"the server's answer is not what this client knows ({error}): "
        "is one of them a newer version?"
    )
