"""Several servers that have the same model, and which of them is asked now."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Generic, TypeVar

from sensorium.core.errors import (
    NotSupportedError,
    OverloadedError,
    SensoriumError,
    UnavailableError,
)

T = TypeVar("T")
R = TypeVar("R")
ITS_FAULT = (UnavailableError, OverloadedError)
"""Errors of one server, after which another is asked."""
REST_S = 1.0
MAX_REST_S = 60.0
"""A server that fails is left alone for a second; twice as long with each further failure."""
log = logging.getLogger("sensorium.models")


class Source(Generic[T]):
    """A server, what asks it, and how it has been."""

    def __init__(self, name: str, asks: T) -> None:
        self.name = name
        self.asks = asks
        self.failures = 0
        """In a row."""
        self.rests_until = 0.0
        """On the clock of `time.monotonic`."""

    def worked(self) -> None:
        """It has answered."""
        self.failures, self.rests_until = 0, 0.0

    def failed(self, error: SensoriumError) -> None:
        """It has not; what follows soon goes to others, if there are any."""
        self.failures += 1
        rest = max(self._rest_s(), min(error.retry_after_s or 0.0, MAX_REST_S))
        self.rests_until = time.monotonic() + rest
        log.warning("the remote server %s failed: %s", self.name, error.message)

    def taken(self) -> None:
        """It is asked now: if it failed before, by nobody else until it has shown how it is."""
        if self.failures:
            self.rests_until = time.monotonic() + self._rest_s()

    def _rest_s(self) -> float:
        return min(MAX_REST_S, REST_S * 2.0 ** max(0, min(self.failures, 16) - 1))


class Sources(Generic[T]):
    """Servers in the order in which they are asked."""

    def __init__(self, sources: Sequence[Source[T]]) -> None:
        self._sources = list(sources)

    def __iter__(self) -> Iterator[Source[T]]:
        return iter(self._sources)

    def in_turn(self) -> Iterator[Source[T]]:
        """Those that one call may ask, until one answers: first what is not left alone, in the
        order of the file; then the others, those that have rested longest first."""
        now = time.monotonic()
        ready = [each for each in self._sources if each.rests_until <= now]
        resting = [each for each in self._sources if each.rests_until > now]
        for each in [*ready, *sorted(resting, key=lambda each: each.rests_until)]:
            each.taken()
            yield each

    async def first(self, ask: Callable[[T, float], Awaitable[R]], deadline_s: float) -> R:
        """The first answer that one of them gives; they have so long in all.

        Raises:
            SensoriumError: why there is none.
        """
        until = asyncio.get_running_loop().time() + deadline_s
        failures: list[SensoriumError] = []
        for source in self.in_turn():
            try:
                found = await ask(source.asks, until)
            except ITS_FAULT as error:
                source.failed(error)
                failures.append(error)
            else:
                source.worked()
                return found
        raise none_left(failures)


def cut_off(error: SensoriumError, pieces: int) -> SensoriumError:
    """An error within a text, which says how far the text had come."""
    many = f"{pieces} pieces" if pieces > 1 else "a piece"
    return type(error)(
        f"{error.message}, after {many} of the text",
        details={**error.details, "pieces": pieces},
        retry_after_s=error.retry_after_s,
    )


def none_left(failures: Sequence[SensoriumError]) -> SensoriumError:
    """Why no server has answered."""
    if len(failures) == 1:
        return failures[0]
    told = [each for each in failures if not isinstance(each, NotSupportedError)]
    if not told:
        return failures[0]
    reasons = "; ".join(dict.fromkeys(each.message for each in failures))
    message = f"none of the {len(failures)} remote servers answers: {reasons}"
    kind = (
        OverloadedError if all(isinstance(e, OverloadedError) for e in told) else UnavailableError
    )
    waits = [each.retry_after_s for each in told if each.retry_after_s is not None]
    return kind(message, retry_after_s=min(waits, default=1.0))
