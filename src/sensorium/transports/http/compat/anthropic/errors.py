"""Errors as Anthropic's clients tell them apart: by status and type."""

from typing import Any

from sensorium.core.errors import SensoriumError
from sensorium.transports.http.compat import refusing

TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}


def status(error: SensoriumError) -> int:
    """Anthropic's status."""
    return 529 if error.code == "overloaded" else refusing.status(error)


def error_body(error: SensoriumError, request_id: str) -> dict[str, Any]:
    """An error's body, which is also an event's."""
    number = status(error)
    usual = "invalid_request_error" if number < 500 else "api_error"
    return {
        "type": "error",
        "error": {"type": TYPES.get(number, usual), "message": refusing.told(error)},
        "request_id": request_id,
    }
