"""Counts one call, from its admission to its end."""

import asyncio
import logging
import time

from sensorium.core.dispatch import Caller
from sensorium.core.errors import SensoriumError
from sensorium.core.telemetry import RecentCall, Telemetry

log = logging.getLogger("sensorium.control")
_OURS = ("internal", "unavailable")
"""Codes of failures that are the server's and not the caller's."""


class Record:
    """Begun when a call is admitted; `ended` or `failed` is called once."""

    __slots__ = ("_began", "_caller", "_name", "_span", "_stats", "_telemetry")

    def __init__(self, telemetry: Telemetry, name: str, caller: Caller) -> None:
        self._telemetry = telemetry
        self._name = name
        self._caller = caller
        self._stats = telemetry.of(name)
        self._stats.in_flight += 1
        tracer = telemetry.tracer
        self._span = None if tracer is None else tracer.begin(name, caller)
        self._began = time.perf_counter()

    def ended(self, code: str) -> None:
        """The call ended with an error's code, or `ok`."""
        seconds = time.perf_counter() - self._began
        now = time.time()
        stats = self._stats
        stats.in_flight -= 1
        stats.ended(code, seconds)
        if code == "ok":
            stats.last_success = now
        elif code in _OURS:
            stats.last_failure = now
        call = RecentCall(now, self._name, self._caller.door, code, seconds)
        self._telemetry.recent.append(call)
        if self._telemetry.tracer is not None:
            self._telemetry.tracer.end(self._span, code)

    def failed(self, error: BaseException) -> BaseException:
        """The call raised; returns what to raise in its place."""
        if isinstance(error, Exception) and not isinstance(error, SensoriumError):
            log.error("%s failed", self._name, exc_info=error)
            error = SensoriumError()
        self.ended(code_of(error))
        return error


def code_of(error: BaseException) -> str:
    """The code under which a call that raised is counted."""
    if isinstance(error, SensoriumError):
        return error.code
    stopped = isinstance(error, asyncio.CancelledError | GeneratorExit)
    return "cancelled" if stopped else "internal"
