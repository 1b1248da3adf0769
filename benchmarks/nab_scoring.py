"""The Numenta Anomaly Benchmark's published scoring, written from its definition.

Source: Lavin and Ahmad, "Evaluating Real-Time Anomaly Detection Algorithms: the Numenta Anomaly
Benchmark" (ICMLA 2015), and the profiles' published weights. Each labelled window pays once, for
its earliest detection, by a sigmoid that falls from the window's left edge to its right edge; each
detection outside a window costs by the same sigmoid, measured from the window before it; each
window without a detection costs once. The first 15 % of a file (750 points at most) count not at
all. A corpus's score is scaled so that no detection gives 0 and every window met at its left edge
gives 100.
"""

import csv
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

PROBATION_SHARE = 0.15
PROBATION_CAP_POINTS = 5000
SIGMOID_SLOPE = 5.0
FAR_BEYOND_WINDOW = 3.0


@dataclass(frozen=True)
class Profile:
    """What a met window, a false alarm and a missed window weigh."""

    name: str
    met: float
    false_alarm: float
    missed: float


STANDARD = Profile("standard", met=1.0, false_alarm=0.11, missed=1.0)
LOW_FALSE_ALARMS = Profile("reward low FP", met=1.0, false_alarm=0.22, missed=1.0)
LOW_MISSES = Profile("reward low FN", met=1.0, false_alarm=0.11, missed=2.0)
PROFILES = (STANDARD, LOW_FALSE_ALARMS, LOW_MISSES)


@dataclass(frozen=True)
class LabelledSeries:
    """One file of the corpus; `windows` are inclusive index pairs, in order of time."""

    name: str
    timestamps: list[float]
    values: list[float]
    windows: list[tuple[int, int]]

    @property
    def probation(self) -> int:
        """How many leading points are not scored."""
        share = PROBATION_SHARE * len(self.values)
        return math.ceil(min(math.floor(share), PROBATION_SHARE * PROBATION_CAP_POINTS))


@dataclass(frozen=True)
class Tally:
    """What a detector did over some files: counts, and the sums that the score is made of."""

    windows: int = 0
    met: int = 0
    false_alarms: int = 0
    alerts: int = 0
    earned: float = 0.0
    lost: float = 0.0

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(
            self.windows + other.windows,
            self.met + other.met,
            self.false_alarms + other.false_alarms,
            self.alerts + other.alerts,
            self.earned + other.earned,
            self.lost + other.lost,
        )

    def score(self, profile: Profile) -> float:
        """The normalised score: 0 for silence, 100 for perfection."""
        raw = profile.met * self.earned - profile.false_alarm * self.lost
        raw -= profile.missed * (self.windows - self.met)
        silence = -profile.missed * self.windows
        return 100.0 * (raw - silence) / (profile.met * self.windows - silence)

    @property
    def precision(self) -> float:
        """By event: windows met, among them and the alerts outside all windows."""
        return self.met / max(self.met + self.false_alarms, 1)

    @property
    def recall(self) -> float:
        """Share of windows met."""
        return self.met / max(self.windows, 1)


def scaled_sigmoid(position: float) -> float:
    """From +1 well before 0 to -1 well after it; `position` is in window widths."""
    if position > FAR_BEYOND_WINDOW:
        return -1.0
    return 2.0 / (1.0 + math.exp(SIGMOID_SLOPE * position)) - 1.0


def tally(series: LabelledSeries, detections: Iterable[int]) -> Tally:
    """Score one file's detections (point indices)."""
    counted = sorted(index for index in set(detections) if index >= series.probation)
    met: dict[int, float] = {}
    lost = 0.0
    false_alarms = 0
    for index in counted:
        window = _window_at(series.windows, index)
        if window is None:
            false_alarms += 1
            lost -= _outside(series.windows, index)
        else:
            met[window] = max(met.get(window, -1.0), _inside(series.windows[window], index))
    return Tally(
        windows=len(series.windows),
        met=len(met),
        false_alarms=false_alarms,
        alerts=len(counted),
        earned=sum(met.values()),
        lost=lost,
    )


def read_corpus(root: Path) -> list[LabelledSeries]:
    """Every labelled file below `root`, in order of name. Naive times are read as UTC."""
    labels = json.loads((root / "combined_windows.json").read_text())
    return [_read(root, name, windows) for name, windows in sorted(labels.items())]


def _read(root: Path, name: str, windows: Sequence[Sequence[str]]) -> LabelledSeries:
    with (root / name).open(newline="") as file:
        rows = list(csv.DictReader(file))
    times = [_epoch(row["timestamp"]) for row in rows]
    position = {time: index for index, time in reversed(list(enumerate(times)))}
    bounds = [(position[_epoch(left)], position[_epoch(right)]) for left, right in windows]
    return LabelledSeries(name, times, [float(row["value"]) for row in rows], bounds)


def _epoch(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def _window_at(windows: list[tuple[int, int]], index: int) -> int | None:
    for number, (left, right) in enumerate(windows):
        if left <= index <= right:
            return number
    return None


def _inside(window: tuple[int, int], index: int) -> float:
    left, right = window
    position = -(right - index + 1) / (right - left + 1)
    return scaled_sigmoid(position) / scaled_sigmoid(-1.0)


def _outside(windows: list[tuple[int, int]], index: int) -> float:
    before = [window for window in windows if window[1] < index]
    if not before:
        return -1.0
    left, right = before[-1]
    return scaled_sigmoid((index - right) / (right - left))
