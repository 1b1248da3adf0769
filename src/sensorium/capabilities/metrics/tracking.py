"""One series under watch: its detector, its hold-off, and what it has received."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from sensorium.capabilities.metrics.bands import Bands, Detector
from sensorium.capabilities.metrics.hold_off import make_reporter
from sensorium.capabilities.metrics.novelty import Novelty
from sensorium.capabilities.metrics.points import (
    BLOCK_POINTS,
    Check,
    Integers,
    Points,
    read_points,
)
from sensorium.capabilities.metrics.schema import Anomaly, DetectionMethod, SeriesState
from sensorium.capabilities.metrics.sigma import Sigma
from sensorium.core.types import Series

HIGHEST_SCORE = 1e6


@dataclass(frozen=True)
class Received:
    """What came of some points of a series.

    `bands` are those of all values, in the order given; NaN where there is none.
    """

    anomalies: list[Anomaly]
    bands: Bands | None
    given: int
    missing: int
    late: int
    judged: int


def make_detector(method: DetectionMethod, sensitivity: float) -> Detector:
    """The detector of a method, knowing nothing yet."""
    return Sigma(sensitivity) if method == "sigma" else Novelty(sensitivity)


class Tracker:
    """All that is remembered of one series."""

    def __init__(
        self,
        name: str,
        method: DetectionMethod,
        sensitivity: float,
        hold_off_s: float | None,
        state: SeriesState | None = None,
    ) -> None:
        self._name = name
        self._detector = make_detector(method, sensitivity)
        self._reporter = make_reporter(method, hold_off_s)
        self._seen = 0
        self._received = 0
        self._newest: float | None = None
        if state is not None:
            self._detector.resume(state)
            self._reporter.last = state.last_alert
            self._received, self._seen = state.points, state.seen
            self._newest = state.last_timestamp

    @property
    def retained(self) -> int:
        """How many numbers its detector keeps."""
        return self._detector.retained

    def receive(self, series: Series, check: Check, *, keep_bands: bool = False) -> Received:
        """Judge the next points of the series; those older than any before are left out.

        Raises:
            InvalidInputError: as `read_points`.
        """
        points = read_points(series, check, first=self._received)
        check()
        late = 0
        if self._newest is not None:
            late = int(np.searchsorted(points.times, self._newest, side="left"))
        bands = Bands(*np.full((2, points.given), np.nan)) if keep_bands else None
        anomalies: list[Anomaly] = []
        judged = 0
        for start in range(late, len(points.times), BLOCK_POINTS):
            check()
            block = points.block(start, start + BLOCK_POINTS)
            found = self._detector.judge(block.times, block.values)
            judged += int(np.count_nonzero(~np.isnan(found.half_width)))
            anomalies += self._anomalies(block, found)
            self._seen += len(block.times)
            self._newest = float(block.times[-1])
            if bands is not None:
                bands.expected[block.index] = found.expected
                bands.half_width[block.index] = found.half_width
        self._received += points.given
        return Received(anomalies, bands, points.given, points.missing, late, judged)

    def _anomalies(self, points: Points, bands: Bands) -> list[Anomaly]:
        distances = np.abs(points.values - bands.expected)
        outside = np.flatnonzero(distances > bands.half_width)
        if not len(outside):
            return []
        outside = outside[
            self._reporter.pass_on(points.times[outside], outside + self._seen, distances[outside])
        ]
        return describe(points, bands, outside, self._received)

    def state(self) -> SeriesState:
        """All of it, as data."""
        own: dict[str, Any] = self._detector.remembered()
        return SeriesState(
            name=self._name,
            points=self._received,
            seen=self._seen,
            last_timestamp=self._newest,
            last_alert=self._reporter.last,
            **own,
        )


def describe(points: Points, bands: Bands, where: Integers, first: int) -> list[Anomaly]:
    """The points at `where` as anomalies; `first` values of the series came before these."""
    values, expected = points.values[where], bands.expected[where]
    half_width = bands.half_width[where]
    with np.errstate(divide="ignore", over="ignore"):
        score = np.minimum(np.abs(values - expected) / half_width, HIGHEST_SCORE)
    rows = zip(
        (points.index[where] + first).tolist(),
        points.times[where].tolist(),
        values.tolist(),
        expected.tolist(),
        (expected - half_width).tolist(),
        (expected + half_width).tolist(),
        score.tolist(),
        strict=True,
    )
    return [
        Anomaly(
            index=index,
            timestamp=timestamp,
            value=value,
            expected=middle,
            lower=lower,
            upper=upper,
            score=ratio,
            direction="above" if value > middle else "below",
        )
        for index, timestamp, value, middle, lower, upper, ratio in rows
    ]
