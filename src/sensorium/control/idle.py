"""A stream's deadline: between two items, in either direction."""

import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import TypeVar

from sensorium.core.dispatch import Payload
from sensorium.core.errors import DeadlineExceededError
from sensorium.core.within import Within

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
        while True:
            try:
                with _InTime(idle):
                    item = await anext(items, None)
            except TimeoutError:
                raise DeadlineExceededError(f"nothing moved for {idle.limit_s:g} s") from None
            if item is None:
                return
            idle.touch()
            yield item


class _InTime(Within):
    """Wait for one item, as long as a movement in the other direction has it wait."""

    __slots__ = ("_idle",)

    def __init__(self, idle: Idle) -> None:
        super().__init__(max(0.0, idle.left_s()))
        self._idle = idle

    def _end(self) -> None:
        left_s = self._idle.left_s()
        if left_s > 0:
            self._timer = self._task.get_loop().call_later(left_s, self._end)
        else:
            super()._end()
