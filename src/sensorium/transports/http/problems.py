"""Errors as RFC 9457 problem documents: the HTTP door's one mapping table."""

import logging
from math import ceil
from typing import Any

import msgspec
from msgspec import Struct

from sensorium.core.errors import MalformedInputError, NotSupportedError, SensoriumError

log = logging.getLogger("sensorium.http")

STATUS = {
    "invalid_input": 422,
    "unauthenticated": 401,
    "forbidden": 403,
    "not_found": 404,
    "conflict": 409,
    "payload_too_large": 413,
    "rate_limited": 429,
    "overloaded": 503,
    "cancelled": 499,
    "deadline_exceeded": 504,
    "unavailable": 503,
    "not_supported": 501,
    "internal": 500,
}
MEDIA_TYPE = b"application/problem+json"


class Problem(Struct, frozen=True, kw_only=True):
    """What went wrong (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    """One of Sensorium's codes, the same through every door."""
    details: dict[str, Any] = {}
    request_id: str = ""


class MethodNotAllowedError(NotSupportedError):
    """This address answers another HTTP method."""

    def __init__(self, allowed: str) -> None:
        super().__init__(f"this address answers {allowed}")
        self.allowed = allowed


def known(error: Exception) -> SensoriumError:
    """An error as one of ours; what nobody foresaw is told to the log alone."""
    if isinstance(error, SensoriumError):
        return error
    log.error("a request failed", exc_info=error)
    return SensoriumError()


def status_of(error: SensoriumError) -> int:
    """The HTTP status of an error: 400 where the body is not even readable."""
    if isinstance(error, MalformedInputError):
        return 400
    return 405 if isinstance(error, MethodNotAllowedError) else STATUS[error.code]


def problem(error: SensoriumError, request_id: str) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """Status, headers beyond the usual, and body of an error's answer."""
    status = status_of(error)
    details = {key: value for key, value in error.details.items() if key != "malformed"}
    document = Problem(
        type=f"urn:sensorium:error:{error.code}",
        title=error.code.replace("_", " "),
        status=status,
        detail=error.message,
        code=error.code,
        details=details,
        request_id=request_id,
    )
    headers: list[tuple[bytes, bytes]] = []
    if error.retry_after_s is not None:
        headers.append((b"retry-after", str(max(1, ceil(error.retry_after_s))).encode()))
    if isinstance(error, MethodNotAllowedError):
        headers.append((b"allow", error.allowed.encode()))
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    if status == 413:
        # The rest of the body is still on its way; nobody will read it.
        headers.append((b"connection", b"close"))
    return status, headers, msgspec.json.encode(document)
