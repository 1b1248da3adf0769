"""Errors as Anthropic's clients tell them apart: by status and type."""

from typing import Any

from sensorium.core.errors import SensoriumError
from sensorium.transports.http.compat.reading import told
from sensorium.transports.http.problems import MethodNotAllowedError, status_of

STATUS = {"invalid_input": 400, "not_supported": 400, "overloaded": 529}
"""Where theirs is another; what is not supported is not to be tried again."""
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
    if isinstance(error, MethodNotAllowedError):
        return 405
    return STATUS.get(error.code) or status_of(error)


def error_body(error: SensoriumError, request_id: str) -> dict[str, Any]:
    """An error's body, which is also an event's."""
    number = status(error)
    usual = "invalid_request_error" if number < 500 else "api_error"
    return {
        "type": "error",
        "error": {"type": TYPES.get(number, usual), "message": told(error)},
        "request_id": request_id,
    }
