"""Errors as OpenAI's clients tell them apart: by status, type, code and parameter."""

from typing import Any

from sensorium.core.errors import NotFoundError, SensoriumError
from sensorium.transports.http.compat.refusing import parameter, status, told

TYPES = {
    "unauthenticated": "authentication_error",
    "forbidden": "permission_error",
    "rate_limited": "rate_limit_error",
}
CODES = {"not_found": "model_not_found", "unauthenticated": "invalid_api_key"}
TOO_LONG = {"context", "prompt_tokens"}
"""Details of a prompt that has more tokens than the model takes."""


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
    return {
        "error": {
            "message": told(error),
            "type": TYPES.get(error.code, usual),
            "param": parameter(error),
            "code": _code(error),
        }
    }


def _code(error: SensoriumError) -> str:
    if error.details.keys() >= TOO_LONG:
        return "context_length_exceeded"
    return str(getattr(error, "openai_code", CODES.get(error.code, error.code)))
