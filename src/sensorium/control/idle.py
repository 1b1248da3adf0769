"""A stream's deadline: between two items, in either direction."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import TypeVar

from sensorium.core.dispatch import Payload
from sensorium.core.errors import DeadlineExceededError

T = TypeVar("T")


class Idle:
    """How long a stream may stand still."""

    def __init__(self, limit_s: float) -> None:
        self.limit_s = limit_s
        self._touched = time.monotonic()

    def touch(self) -> None:
        """Something moved."""
        self._touched = time.monotonic()

    def left_s(self) -> float:
        """Seconds until it has stood still for too long."""
        return self._touched + self.limit_s - time.monotonic()

    async def touched_by(self, items: AsyncIterator[Payload | None]) -> AsyncIterator[Payload]:
        """The items, each of which is a movement; None is one too, and goes no further."""
        async for item in items:
            self.touch()
            if item is not None:
                yield item


async def watched(items: AsyncGenerator[T, None], idle: Idle) -> AsyncGenerator[T, None]:
    """The items, each of which is a movement; closes their source.

    Raises:
        DeadlineExceededError: nothing moved for too long.
    """
    async with aclosing(items):
        while (item := await _next_in_time(items, idle)) is not None:
            idle.touch()
            yield item


async def _next_in_time(items: AsyncGenerator[T, None], idle: Idle) -> T | None:
    upcoming = asyncio.ensure_future(anext(items, None))
    try:
        while not upcoming.done():
            await asyncio.wait({upcoming}, timeout=max(0.0, idle.left_s()))
            if not upcoming.done() and idle.left_s() <= 0:
                raise DeadlineExceededError(f"nothing moved for {idle.limit_s:g} s")
    finally:
        if not upcoming.done():
            upcoming.cancel()
            await asyncio.gather(upcoming, return_exceptions=True)
    return upcoming.result()
