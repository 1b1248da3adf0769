"""The one tree of errors; each door owns one table that maps its codes.

    SensoriumError            internal
    |- InvalidInputError      invalid_input
    |  `- MalformedInputError invalid_input (not even readable: HTTP says 400, not 422)
    |- UnauthenticatedError   unauthenticated
    |- ForbiddenError         forbidden
    |- NotFoundError          not_found
    |- ConflictError          conflict
    |- PayloadTooLargeError   payload_too_large
    |- RateLimitedError       rate_limited
    |- OverloadedError        overloaded
    |- CancelledCallError     cancelled
    |- DeadlineExceededError  deadline_exceeded
    |- UnavailableError       unavailable
    `- NotSupportedError      not_supported

A message is written for the caller: it says what to do, and never holds a path, a secret or a
traceback. The class docstring is the default message.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec


class ErrorBody(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An error as data: what the envelope carries and what crosses a process."""

    code: str
    message: str
    details: dict[str, Any] = {}
    retry_after_s: float | None = None


class SensoriumError(Exception):
    """Something went wrong inside the server; its log has the details under the request id."""

    code: ClassVar[str] = "internal"

    def __init__(
        self,
        message: str | None = None,
        *,
        details: Mapping[str, Any] | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        self.message = message or " ".join((type(self).__doc__ or "").split())
        self.details = dict(details or {})
        self.retry_after_s = retry_after_s
        super().__init__(self.message)

    def body(self) -> ErrorBody:
        """This error as data."""
        return ErrorBody(
            code=self.code,
            message=self.message,
            details=self.details,
            retry_after_s=self.retry_after_s,
        )


class InvalidInputError(SensoriumError):
    """The request does not fit what this operation takes."""

    code = "invalid_input"


class MalformedInputError(InvalidInputError):
    """The request is not readable in the format that it says it is in."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message, details={"malformed": True})


class UnauthenticatedError(SensoriumError):
    """This server wants an API key: send 'Authorization: Bearer KEY' or 'x-api-key: KEY'."""

    code = "unauthenticated"


class ForbiddenError(SensoriumError):
    """This key may not do that."""

    code = "forbidden"


class NotFoundError(SensoriumError):
    """There is nothing of that name."""

    code = "not_found"


class ConflictError(SensoriumError):
    """The request contradicts one that was made before."""

    code = "conflict"


class PayloadTooLargeError(SensoriumError):
    """The request is larger than this server takes."""

    code = "payload_too_large"


class RateLimitedError(SensoriumError):
    """This key calls more often than it may; wait and try again."""

    code = "rate_limited"


class OverloadedError(SensoriumError):
    """The server has as much waiting as it takes; wait and try again."""

    code = "overloaded"


class CancelledCallError(SensoriumError):
    """The call was cancelled before it was done."""

    code = "cancelled"


class DeadlineExceededError(SensoriumError):
    """The call was not done within its deadline."""

    code = "deadline_exceeded"


class UnavailableError(SensoriumError):
    """A part that this operation needs is down or missing."""

    code = "unavailable"


class NotSupportedError(SensoriumError):
    """This server does not do that."""

    code = "not_supported"


_KINDS: tuple[type[SensoriumError], ...] = (SensoriumError, *SensoriumError.__subclasses__())
_BY_CODE = {kind.code: kind for kind in _KINDS}
CODES = tuple(_BY_CODE)


def from_body(body: ErrorBody) -> SensoriumError:
    """The error that a body describes; an unknown code becomes `internal`."""
    kind = _BY_CODE.get(body.code, SensoriumError)
    if kind is InvalidInputError and body.details.get("malformed"):
        return MalformedInputError(body.message)
    return kind(body.message, details=body.details, retry_after_s=body.retry_after_s)
