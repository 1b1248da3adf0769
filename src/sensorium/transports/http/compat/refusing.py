"""Who may ask in another server's protocol, and what the others are answered."""

from typing import Any

import msgspec

from sensorium.core.dispatch import ANONYMOUS, Caller, Dispatcher
from sensorium.core.errors import SensoriumError
from sensorium.transports.http.exchange import JSON, ClientGoneError, Exchange, Headers
from sensorium.transports.http.problems import problem


def admit(exchange: Exchange, dispatcher: Dispatcher, operation: str) -> Caller:
    """Who asks, for what leads to an operation, which authorises each call of it.

    Raises:
        UnauthenticatedError: a key is needed: nothing of a stranger's body is read.
    """
    principal = dispatcher.identify(exchange.credential())
    if principal is ANONYMOUS:
        dispatcher.authorise(principal, operation)
    return exchange.caller(principal)


async def refuse(
    exchange: Exchange,
    error: SensoriumError,
    status: int,
    body: Any,
    headers: Headers | None = None,
) -> None:
    """Answer with an error's body, and the headers that every door gives with it.

    Raises:
        SensoriumError: the response has begun, or nobody is there.
    """
    if exchange.started or isinstance(error, ClientGoneError):
        raise error
    _, usual, _ = problem(error, exchange.request_id)
    await exchange.answer(status, JSON, msgspec.json.encode(body), [*usual, *(headers or [])])
