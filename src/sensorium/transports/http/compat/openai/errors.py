"""Errors as OpenAI's clients tell them apart: by status, type, code and parameter."""

import re
from typing import Any

from sensorium.core.errors import NotFoundError, SensoriumError
from sensorium.transports.http.problems import MethodNotAllowedError, status_of

TYPES = {
    "unauthenticated": "authentication_error",
    "forbidden": "permission_error",
    "rate_limited": "rate_limit_error",
}
CODES = {"not_found": "model_not_found", "unauthenticated": "invalid_api_key"}
TOO_LONG = {"context", "prompt_tokens"}
"""Details of a prompt that has more tokens than the model takes."""
WAITS = ("rate_limited", "overloaded", "unavailable")
"""What passes: the clients try again, as soon as `retry-after` says."""
_MISSING = re.compile(r"^Object missing required field `(.+?)`")


class UnknownAddressError(NotFoundError):
    """There is nothing at this address; /v1/models, /v1/chat/completions and others are served."""

    openai_code = "unknown_url"


class NotKeptError(NotFoundError):
    """No response of that id is kept."""

    openai_code = "response_not_found"


def error_body(error: SensoriumError) -> dict[str, Any]:
    """An error's body."""
    client = 400 <= status(error) < 500
    usual = "invalid_request_error" if client else "server_error"
    param = parameter(error)
    named = param is not None and not re.search(rf"(?<!\w){re.escape(param)}(?!\w)", error.message)
    return {
        "error": {
            "message": f"{param}: {error.message}" if named else error.message,
            "type": TYPES.get(error.code, usual),
            "param": param,
            "code": _code(error),
        }
    }


def _code(error: SensoriumError) -> str:
    if error.details.keys() >= TOO_LONG:
        return "context_length_exceeded"
    return str(getattr(error, "openai_code", CODES.get(error.code, error.code)))


def status(error: SensoriumError) -> int:
    """OpenAI's status: 400 where we say 422, or that something is not done here.

    The clients would try again what is answered with 501.
    """
    if isinstance(error, MethodNotAllowedError):
        return 405
    found = status_of(error)
    return 400 if found in (422, 501) else found


def parameter(error: SensoriumError) -> str | None:
    """The field of the request that an error is about: `messages[0].content`."""
    details = error.details
    where = str(details.get("field") or details.get("at") or "").removeprefix("$").lstrip(".")
    missing = _MISSING.match(error.message)
    if missing:
        where = f"{where}.{missing[1]}" if where else missing[1]
    return where or None
