"""A call that may hang, such as one into a driver: made on a thread of its own, for so long."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Generic, TypeVar

T = TypeVar("T")
SLICE_S = 0.02
"""How often it is looked whether the answer is still wanted."""


class Bounded(Generic[T]):
    """A function that is given so many seconds.

    While one call hangs no second is begun: whoever asks meanwhile waits for the same, and no
    longer than it has left. The thread is a daemon, so that it does not keep a process alive.
    """

    def __init__(self, function: Callable[[], T], limit_s: float) -> None:
        self._function = function
        self._limit_s = limit_s
        self._lock = threading.Lock()
        self._running: Future[T] | None = None
        self._until = 0.0

    def __call__(self, check: Callable[[], None]) -> T:
        """What the function returns or raises; `check` raises where nobody waits any more.

        Raises:
            TimeoutError: it took too long, and may be going on.
        """
        running, until = self._begun()
        while not running.done():
            left = until - time.monotonic()
            if left <= 0:
                raise TimeoutError
            wait([running], min(left, SLICE_S))
            check()
        return running.result()

    def _begun(self) -> tuple[Future[T], float]:
        with self._lock:
            if self._running is None or self._running.done():
                self._running = Future()
                self._until = time.monotonic() + self._limit_s
                threading.Thread(
                    target=self._run, args=(self._running,), name="sensorium-driver", daemon=True
                ).start()
            return self._running, self._until

    def _run(self, future: "Future[T]") -> None:
        try:
            found = self._function()
        except BaseException as error:
            future.set_exception(error)
        else:
            future.set_result(found)
