"""Which anomalies are reported, and which belong to one that was reported already."""

from typing import Protocol

import numpy as np

from sensorium.capabilities.metrics.points import Floats, Integers
from sensorium.capabilities.metrics.schema import DetectionMethod, LastAlert

EPISODE_POINTS = 12
"""An hour of five-minute points: what is as far out so soon after belongs to the same event."""
WORSE = 2.0
"""So many times as far from expected as what was reported, a point is news all the same."""


class HoldOff(Protocol):
    """A rule of silence after an anomaly."""

    def keeps_quiet(self, last: LastAlert, timestamp: float, seen: int, distance: float) -> bool:
        """Whether the anomaly is not to be reported, given the one reported last."""


class Silence:
    """None for so many seconds."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def keeps_quiet(self, last: LastAlert, timestamp: float, seen: int, distance: float) -> bool:
        """See `HoldOff.keeps_quiet`."""
        return timestamp < last.timestamp + self._seconds


class Episode:
    """None for some points, unless it got much worse."""

    def keeps_quiet(self, last: LastAlert, timestamp: float, seen: int, distance: float) -> bool:
        """See `HoldOff.keeps_quiet`."""
        return seen < last.seen + EPISODE_POINTS and distance < WORSE * last.distance


class Reporter:
    """Passes anomalies on, in order of time, by a rule; `None` passes all."""

    def __init__(self, rule: HoldOff | None) -> None:
        self._rule = rule
        self.last: LastAlert | None = None

    def pass_on(self, times: Floats, seen: Integers, distances: Floats) -> Integers:
        """Which of the anomalies to report; the arrays have shape (n,), n > 0."""
        rows = list(zip(times.tolist(), seen.tolist(), distances.tolist(), strict=True))
        if self._rule is None:
            passed = list(range(len(rows)))
        else:
            passed = [place for place, row in enumerate(rows) if self._report(self._rule, *row)]
        return np.array(passed, dtype=np.int64)

    def _report(self, rule: HoldOff, timestamp: float, seen: int, distance: float) -> bool:
        if self.last is not None and rule.keeps_quiet(self.last, timestamp, seen, distance):
            return False
        self.last = LastAlert(timestamp=timestamp, seen=seen, distance=distance)
        return True


def make_reporter(method: DetectionMethod, hold_off_s: float | None) -> Reporter:
    """The reporter that a request asks for; see `schema.HoldOff`."""
    if hold_off_s:
        return Reporter(Silence(hold_off_s))
    return Reporter(Episode() if hold_off_s is None and method == "novelty" else None)
