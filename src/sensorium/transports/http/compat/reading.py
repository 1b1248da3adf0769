"""What the dialects of other servers share in reading: a bounded JSON body, into a Struct."""

from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from sensorium.core.codec import explained
from sensorium.core.dispatch import Encoded
from sensorium.core.errors import PayloadTooLargeError, SensoriumError
from sensorium.core.loading import load
from sensorium.transports.http.exchange import Exchange
from sensorium.transports.http.problems import MethodNotAllowedError

S = TypeVar("S", bound=Struct)
MAX_BODY = 32 << 20
"""Bytes that a request may have, also once decompressed; an operation may take fewer."""
UNREADABLE = "unreadable"


async def read(exchange: Exchange, kind: type[S], method: str = "POST") -> S:
    """A request's body; what it has beside the fields of `kind` is passed over.

    Raises:
        MethodNotAllowedError: the request is of another method.
        PayloadTooLargeError: it has more than `MAX_BODY` bytes.
        MalformedInputError: it is not JSON.
        InvalidInputError: it does not fit; `details.at` says where.
    """
    if exchange.method != method:
        raise MethodNotAllowedError(method)
    body = await _bounded(exchange)
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, OverflowError) as error:
        raise explained(error) from None


def encoded(request: dict[str, Any]) -> Encoded:
    """A request as JSON, on which the operation's own bounds are checked."""
    body = msgspec.json.encode(request)
    return Encoded(body, len(body))


def told(error: SensoriumError) -> str:
    """An error's message, after the field that it is about."""
    at = error.details.get("at")
    return f"{str(at).removeprefix('$.')}: {error.message}" if at else error.message


def written(text: str) -> dict[str, Any]:
    """The JSON object that a model wrote; what is none stands in one under `unreadable`."""
    try:
        return msgspec.json.decode(text or "{}", type=dict[str, Any])
    except (msgspec.MsgspecError, RecursionError):
        return {UNREADABLE: text}


async def _bounded(exchange: Exchange) -> bytes:
    given = await exchange.payload()
    _check(given.size or 0)
    if isinstance(given.body, bytes | bytearray):
        body = bytes(given.body)
    else:
        pieces, size = [], 0
        async for piece in given.body:
            size += len(piece)
            _check(size)
            pieces.append(piece)
        body = b"".join(pieces)
    if given.content_encoding in ("", "identity"):
        return body
    unfold = load("sensorium.core.compression:decompress")
    unfolded: bytes = unfold(body, given.content_encoding, MAX_BODY)
    return unfolded


def _check(size: int) -> None:
    if size > MAX_BODY:
        raise PayloadTooLargeError(
            f"a request may have at most {MAX_BODY} bytes here", details={"limit": MAX_BODY}
        )
