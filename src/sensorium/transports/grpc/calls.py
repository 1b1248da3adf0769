"""What every gRPC service needs of a call: who calls and how, and how it ends in an error."""

import logging
import os
import re
from typing import Any

import grpc

from sensorium.core.codec import PROTOBUF
from sensorium.core.dispatch import Caller, Dispatcher, Priority
from sensorium.core.errors import InvalidInputError, SensoriumError
from sensorium.transports.grpc.errors import status_of, trailers_of

log = logging.getLogger("sensorium.grpc")
Context = Any  # grpc.aio.ServicerContext; grpcio ships no types
REQUEST_ID = "x-request-id"
_REQUEST_ID = re.compile(r"[\w.:-]{1,128}", re.ASCII)


def caller_of(dispatcher: Dispatcher, context: Context) -> Caller:
    """Who calls and how, as the metadata says.

    Raises:
        UnauthenticatedError: the key is nobody's.
        InvalidInputError: the priority is none.
    """
    metadata = {
        key: value if isinstance(value, str) else value.decode("latin-1")
        for key, value in context.invocation_metadata() or ()
    }
    given = metadata.get(REQUEST_ID, "")
    request_id = given if _REQUEST_ID.fullmatch(given) else os.urandom(8).hex()
    context.set_trailing_metadata(((REQUEST_ID, request_id),))
    caller = Caller(
        dispatcher.identify(_credential(metadata)),
        request_id,
        "grpc",
        deadline_s=context.time_remaining(),
        idempotency_key=metadata.get("idempotency-key", "")[:256] or None,
        trace_parent=metadata.get("traceparent", "")[:128],
        answer_type=PROTOBUF,
    )
    if priority := metadata.get("x-priority"):
        if priority not in ("interactive", "batch"):
            raise InvalidInputError("x-priority is 'interactive' or 'batch'")
        caller.priority = Priority(priority)
    return caller


async def fail(context: Context, error: Exception) -> None:
    """End the call with an error."""
    if isinstance(error, grpc.aio.AbortError):
        raise error
    if not isinstance(error, SensoriumError):
        log.error("a call failed", exc_info=error)
        error = SensoriumError()
    trailers = [*(context.trailing_metadata() or ()), *trailers_of(error)]
    await context.abort(status_of(error), error.message, tuple(trailers))


def _credential(metadata: dict[str, str]) -> str | None:
    scheme, _, token = metadata.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token:
        return token.strip()
    return metadata.get("x-api-key") or None
