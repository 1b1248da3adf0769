"""Long work that is done once for all who want it at the same time."""

import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Generic, TypeVar

R = TypeVar("R")
AT_ONCE = 2
"""More files than these, read at once, would only slow down the disk."""


class Shared(Generic[R]):
    """Work by its key, each in a thread that ends with the process."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._running: dict[Hashable, Future[R]] = {}
        self._lock = threading.Lock()
        self._places = threading.BoundedSemaphore(AT_ONCE)

    def start(self, key: Hashable, work: Callable[[], R]) -> Future[R]:
        """What the work brings; begun unless work of that key runs already."""
        with self._lock:
            future = self._running.get(key)
            if future is None:
                future = self._running[key] = Future()
                future.set_running_or_notify_cancel()  # whoever leaves does not end it for others
                threading.Thread(
                    target=self._run, args=(key, future, work), name=self._name, daemon=True
                ).start()
        return future

    def _run(self, key: Hashable, future: Future[R], work: Callable[[], R]) -> None:
        try:
            with self._places:
                result = work()
        except BaseException as error:
            self._ended(key)
            future.set_exception(error)
        else:
            self._ended(key)
            future.set_result(result)

    def _ended(self, key: Hashable) -> None:
        with self._lock:
            del self._running[key]
