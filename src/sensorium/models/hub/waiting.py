"""Waiting without losing sight of the caller: for a lock, for work on another thread."""

import threading
import time
from collections.abc import Callable, Generator, Iterator
from typing import Any, TypeVar

from sensorium.core.errors import CancelledCallError

R = TypeVar("R")
LOOK_S = 0.02
"""How often the caller is asked whether the work is still wanted."""
TELL_S = 0.15
"""How often progress is told."""


class Teller:
    """Says when it is time to tell progress again."""

    def __init__(self) -> None:
        self._next = 0.0

    def due(self) -> bool:
        """Whether it is time; true at first."""
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + TELL_S
        return True


def until(done: Callable[[float], bool], check: Callable[[], None]) -> Iterator[None]:
    """Wait until `done`, which is given the seconds it may take; yields when it is time to tell.

    Raises:
        Exception: what `check` raises.
    """
    teller = Teller()
    while not done(LOOK_S):
        check()
        if teller.due():
            yield None
    check()


def on_a_thread(
    work: Callable[[Callable[[float], None]], R], check: Callable[[], None]
) -> Generator[None, None, R]:
    """Have work done on a thread; yields while it lasts and returns what it returns.

    The work is given a `pause(seconds)` that ends with an error when nobody waits any more.

    Raises:
        Exception: what the work raises, or `check`.
    """
    given_up = threading.Event()
    result: list[Any] = []
    problem: list[BaseException] = []

    def pause(seconds: float) -> None:
        if given_up.wait(seconds):
            raise CancelledCallError

    def run() -> None:
        try:
            result.append(work(pause))
        except BaseException as error:
            problem.append(error)

    # A daemon: a connection that is being made cannot be stopped.
    thread = threading.Thread(target=run, name="pull-ask", daemon=True)
    thread.start()

    def ended(seconds: float) -> bool:
        thread.join(seconds)
        return not thread.is_alive()

    try:
        yield from until(ended, check)
    finally:
        given_up.set()
    if problem:
        raise problem[0]
    answer: R = result[0]
    return answer
