"""When a call to a server is tried again, and after how long."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from sensorium.core.errors import SensoriumError

T = TypeVar("T")
FIRST_S = 0.25
LONGEST_S = 10.0
"""Neither our own waits grow beyond it, nor do we wait longer when a server asks for more."""


class RetriableError(Exception):
    """A try failed with `error`, and trying again does no harm."""

    def __init__(self, error: SensoriumError) -> None:
        super().__init__(error.message)
        self.error = error


async def with_retries(attempt: Callable[[], Awaitable[T]], retries: int) -> T:
    """What `attempt` returns, tried again up to `retries` times while it is worth it.

    Waits double from a quarter of a second, are drawn at random from their upper half so that
    many clients do not come back at once, and are never shorter than the server's Retry-After.
    """
    for number in range(retries + 1):
        try:
            return await attempt()
        except RetriableError as failed:
            error = failed.error
            asked_s = error.retry_after_s or 0.0
            if number == retries or asked_s > LONGEST_S:
                raise error from None
            longest_s = min(LONGEST_S, FIRST_S * 2**number)
            wait_s = longest_s * random.uniform(0.5, 1.0)
            await asyncio.sleep(max(wait_s, asked_s * random.uniform(1.0, 1.1)))
    raise AssertionError
