"""An error as the answer to a request of another server's protocol."""

from typing import Any

import msgspec

from sensorium.core.errors import SensoriumError
from sensorium.transports.http.exchange import JSON, ClientGoneError, Exchange, Headers
from sensorium.transports.http.problems import problem


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
