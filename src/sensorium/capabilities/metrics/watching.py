"""Anomalies in points as they come: the engine of `metrics.watch`."""

from collections.abc import Iterator

from sensorium.capabilities.metrics.schema import (
    SeriesState,
    WatchedAnomaly,
    WatchEvent,
    WatchInput,
    WatchRequest,
    WatchSnapshot,
)
from sensorium.capabilities.metrics.tracking import Received, Tracker
from sensorium.core.errors import InvalidInputError
from sensorium.core.operation import WorkContext
from sensorium.core.types import Series

MAX_RETAINED = 4_000_000
"""Numbers kept over all series: what a `sigma` window of many points per second would fill."""


def watch(
    request: WatchRequest, incoming: Iterator[WatchInput], context: WorkContext
) -> Iterator[WatchEvent]:
    """See `operations.watch`."""
    watched = Watched(request)
    for item in incoming:
        context.check()
        yield watched.answer(item, context)
    yield WatchEvent(anomalies=[], points=0, missing=0, late=0, snapshot=watched.snapshot())


class Watched:
    """The series followed so far."""

    def __init__(self, request: WatchRequest) -> None:
        self._request = request
        self._trackers: dict[str, Tracker] = {}
        self._retained = 0
        if request.resume is not None:
            self._resume(request.resume)

    def answer(self, item: WatchInput, context: WorkContext) -> WatchEvent:
        """Judge one input."""
        anomalies: list[WatchedAnomaly] = []
        given = missing = late = 0
        for series in item.series:
            context.check()
            received = self._receive(series, context)
            anomalies += [
                WatchedAnomaly(name=series.name, anomaly=anomaly) for anomaly in received.anomalies
            ]
            given += received.given
            missing += received.missing
            late += received.late
        return WatchEvent(
            anomalies=anomalies,
            points=given,
            missing=missing,
            late=late,
            snapshot=self.snapshot() if item.snapshot else None,
        )

    def snapshot(self) -> WatchSnapshot:
        """All state, as data."""
        states = [tracker.state() for tracker in self._trackers.values()]
        return WatchSnapshot(method=self._request.method, series=states)

    def _receive(self, series: Series, context: WorkContext) -> Received:
        tracker = self._trackers.get(series.name) or self._follow(series.name)
        self._retained -= tracker.retained
        received = tracker.receive(series, context.check)
        self._retained += tracker.retained
        if self._retained > MAX_RETAINED:
            raise InvalidInputError(
                f"The windows of all series hold more than {MAX_RETAINED:,} numbers: send fewer "
                "points per second, watch fewer series, or use the method 'novelty'.",
                details={"limit": MAX_RETAINED},
            )
        return received

    def _follow(self, name: str, state: SeriesState | None = None) -> Tracker:
        if len(self._trackers) >= self._request.max_series:
            raise InvalidInputError(
                f"More than {self._request.max_series} series: raise max_series or watch fewer.",
                details={"max_series": self._request.max_series},
            )
        request = self._request
        tracker = Tracker(name, request.method, request.sensitivity, request.hold_off_s, state)
        self._trackers[name] = tracker
        return tracker

    def _resume(self, snapshot: WatchSnapshot) -> None:
        if snapshot.method != self._request.method:
            raise InvalidInputError(
                f"The snapshot is of the method {snapshot.method!r}, not {self._request.method!r}."
            )
        for state in snapshot.series:
            if state.name in self._trackers:
                raise InvalidInputError(f"The snapshot holds series {state.name!r} twice.")
            self._retained += self._follow(state.name, state).retained
