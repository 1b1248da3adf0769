"""Errors as gRPC statuses: the gRPC door's one mapping table."""

from typing import Final

import grpc
import msgspec

from sensorium.core.errors import SensoriumError

Status = grpc.StatusCode
STATUS: Final = {
    "invalid_input": Status.INVALID_ARGUMENT,
    "unauthenticated": Status.UNAUTHENTICATED,
    "forbidden": Status.PERMISSION_DENIED,
    "not_found": Status.NOT_FOUND,
    "conflict": Status.ABORTED,
    "payload_too_large": Status.RESOURCE_EXHAUSTED,
    "rate_limited": Status.RESOURCE_EXHAUSTED,
    "overloaded": Status.UNAVAILABLE,
    "cancelled": Status.CANCELLED,
    "deadline_exceeded": Status.DEADLINE_EXCEEDED,
    "unavailable": Status.UNAVAILABLE,
    "not_supported": Status.UNIMPLEMENTED,
    "internal": Status.INTERNAL,
}
ERROR: Final = "sensorium-error-bin"
"""The trailing metadata that holds the whole error as JSON: code, message, details."""
RETRY_AFTER: Final = "retry-after"


def status_of(error: SensoriumError) -> grpc.StatusCode:
    """The status of an error."""
    return STATUS[error.code]


def trailers_of(error: SensoriumError) -> list[tuple[str, str | bytes]]:
    """The metadata behind an error."""
    trailers: list[tuple[str, str | bytes]] = [(ERROR, msgspec.json.encode(error.body()))]
    if error.retry_after_s is not None:
        trailers.append((RETRY_AFTER, f"{error.retry_after_s:g}"))
    return trailers
