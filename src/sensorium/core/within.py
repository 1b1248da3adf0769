"""A time limit that costs a call next to nothing."""

import asyncio
from typing import Any


class Within:
    """`asyncio.timeout` with as much of it as a call needs: it is entered several times for each.

    Raises:
        TimeoutError: what is inside was not done within so many seconds, and was cancelled.
    """

    __slots__ = ("_cancelling", "_passed", "_seconds", "_task", "_timer")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._passed = False

    def __enter__(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._task: asyncio.Task[Any] = task
        self._cancelling = task.cancelling()
        self._timer = task.get_loop().call_later(self._seconds, self._end)

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        self._timer.cancel()
        if not self._passed:
            return
        # Who else has cancelled it meanwhile wants it to end, whatever the time.
        alone = self._task.uncancel() <= self._cancelling
        if alone and kind is not None and issubclass(kind, asyncio.CancelledError):
            raise TimeoutError

    def _end(self) -> None:
        self._passed = True
        self._task.cancel()
