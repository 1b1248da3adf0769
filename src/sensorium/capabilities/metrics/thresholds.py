"""When a series reaches a threshold: within its forecast, or beyond it along its trend."""

from dataclasses import dataclass

import numpy as np

from sensorium.capabilities.metrics.points import Floats
from sensorium.capabilities.metrics.schema import Crossing, CrossingState, ThresholdSide

FEWEST_POINTS = 9


@dataclass(frozen=True)
class Path:
    """Where a series stands and goes: `ahead`, `lower`, `upper` have shape (steps,)."""

    interval_s: float
    end_s: float
    now: float
    ahead: Floats
    lower: Floats
    upper: Floats
    slope: float
    """Per step, beyond the forecast."""


def crossing(path: Path, threshold: float, side: ThresholdSide, look_ahead_s: float) -> Crossing:
    """When the path first reaches the threshold."""
    if _reached(path.now, threshold, side):
        return _crossing(path, threshold, side, 0.0, 0.0)
    rising = path.now < threshold
    steps = _first_reach(path.now, path.ahead, threshold, rising=rising)
    if steps is None:
        steps = _beyond(path, threshold, rising=rising)
    edge = path.upper if rising else path.lower
    earliest = _first_reach(path.now, edge, threshold, rising=rising)
    if steps is not None and steps * path.interval_s > look_ahead_s:
        steps = None
    return _crossing(path, threshold, side, steps, earliest)


def resistant_slope(history: Floats) -> float:
    """The slope per step of a history of shape (n,), or 0 where no trend stands out of the noise.

    Tukey's resistant line ("Exploratory Data Analysis", 1977): the medians of the outer thirds.
    It counts only if the middle third lies between them and the rise over the whole history is
    more than the interquartile range of what the line leaves over.
    """
    if len(history) < FEWEST_POINTS:
        return float(history[-1] - history[0]) / max(len(history) - 1, 1)
    third = len(history) // 3
    left, middle, right = (
        float(np.median(part))
        for part in (history[:third], history[third:-third], history[-third:])
    )
    slope = (right - left) / (len(history) - third)
    low, high = np.quantile(history - slope * np.arange(len(history)), [0.25, 0.75])
    steady = min(left, right) <= middle <= max(left, right)
    return slope if steady and abs(slope) * len(history) > high - low else 0.0


def _reached(value: float, threshold: float, side: ThresholdSide) -> bool:
    if side == "either":
        return value == threshold
    return value >= threshold if side == "above" else value <= threshold


def _first_reach(now: float, ahead: Floats, threshold: float, *, rising: bool) -> float | None:
    """Steps until the path through `now` and `ahead` reaches the threshold."""
    reached = np.flatnonzero(ahead >= threshold if rising else ahead <= threshold)
    if not len(reached):
        return None
    step = int(reached[0])
    before = now if step == 0 else float(ahead[step - 1])
    return step + (threshold - before) / (float(ahead[step]) - before)


def _beyond(path: Path, threshold: float, *, rising: bool) -> float | None:
    if path.slope == 0 or (path.slope > 0) != rising:
        return None
    return len(path.ahead) + (threshold - float(path.ahead[-1])) / path.slope


def _crossing(
    path: Path, threshold: float, side: ThresholdSide, steps: float | None, earliest: float | None
) -> Crossing:
    in_s = None if steps is None else steps * path.interval_s
    state: CrossingState = "never" if in_s is None else "will"
    if _reached(path.now, threshold, side):
        state = "already"
    return Crossing(
        threshold=threshold,
        state=state,
        in_s=in_s,
        timestamp=None if in_s is None else path.end_s + in_s,
        earliest_in_s=None if earliest is None else earliest * path.interval_s,
    )
