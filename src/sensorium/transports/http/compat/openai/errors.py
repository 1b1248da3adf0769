"""Errors as OpenAI's clients tell them apart: by status, type and code."""

from typing import Any

from sensorium.core.errors import SensoriumError
from sensorium.transports.http.problems import status_of

TYPES = {
    "unauthenticated": "authentication_error",
    "forbidden": "permission_error",
    "rate_limited": "rate_limit_error",
}
CODES = {"not_found": "model_not_found", "unauthenticated": "invalid_api_key"}


def error_body(error: SensoriumError) -> dict[str, Any]:
    """An error's body."""
    client = 400 <= status(error) < 500
    usual = "invalid_request_error" if client else "server_error"
    return {
        "error": {
            "message": error.message,
            "type": TYPES.get(error.code, usual),
            "param": error.details.get("field"),
            "code": CODES.get(error.code, error.code),
        }
    }


def status(error: SensoriumError) -> int:
    """OpenAI's status: 400 where we say 422."""
    found = status_of(error)
    return 400 if found == 422 else found
