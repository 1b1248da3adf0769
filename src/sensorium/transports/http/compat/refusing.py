"""Errors in other servers' protocols."""

import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from sensorium.core.codec import explained
from sensorium.core.errors import SensoriumError
from sensorium.transports.http.exchange import JSON, ClientGoneError, Exchange
from sensorium.transports.http.problems import known, problem, status_of

WAITS = ("rate_limited", "overloaded", "unavailable")
"""What passes: the clients try again, as soon as `retry-after` says."""
RETRY_AFTER_S = 1.0
_MISSING = re.compile(r"^Object missing required field `(.+?)`")


def status(error: SensoriumError) -> int:
    """HTTP's status, but 400 where we say 422, or that something is not done here.

    The clients would try again what is answered with 501.
    """
    found = status_of(error)
    return 400 if found in (422, 501) else found


@asynccontextmanager
async def refusing(
    exchange: Exchange,
    body: Callable[[SensoriumError], Any],
    status: Callable[[SensoriumError], int] = status,
) -> AsyncIterator[None]:
    """Answer with a protocol's own body and status whatever goes wrong inside.

    Raises:
        SensoriumError: the response has begun, or nobody is there.
    """
    try:
        yield
    except Exception as caught:
        error = explained(caught) if isinstance(caught, RecursionError) else known(caught)
        if exchange.started or isinstance(error, ClientGoneError):
            raise error from None
        if error.code in WAITS and error.retry_after_s is None:
            error.retry_after_s = RETRY_AFTER_S
        _, headers, _ = problem(error, exchange.request_id)
        await exchange.answer(status(error), JSON, msgspec.json.encode(body(error)), headers)


def told(error: SensoriumError) -> str:
    """An error's message, after the field that it is about where it does not name that itself."""
    field = parameter(error)
    if field is None or re.search(rf"(?<!\w){re.escape(field)}(?!\w)", error.message):
        return error.message
    return f"{field}: {error.message}"


def parameter(error: SensoriumError) -> str | None:
    """The field of the request that an error is about: `messages[0].content`."""
    where = str(error.details.get("at") or "").removeprefix("$").lstrip(".")
    missing = _MISSING.match(error.message)
    if missing:
        where = f"{where}.{missing[1]}" if where else missing[1]
    return where or None
