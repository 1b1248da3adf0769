"""Cheap ways of carrying a series on, each for many origins at once.

All take `windows`, shape (origins, length), the values up to each origin on a regular grid of
time, and give shape (origins, steps). What they look at follows from `Scale`, so that a series by
the second and one by the hour are treated alike.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from sensorium.capabilities.metrics.points import Floats

DAY_S = 86_400.0
LINE_WINDOW_S = 26 * 3600.0
TREND_NODES = 36
"""A trend is fitted to so many means of equal stretches at most: its cost is their square."""


@dataclass(frozen=True)
class Scale:
    """How many grid steps the horizon, a day and the founding window of 26 hours have."""

    steps: int
    day: int
    line: int

    @classmethod
    def of(cls, interval_s: float, steps: int) -> "Scale":
        """The scale of a grid with `interval_s` seconds a step."""
        day, line = round(DAY_S / interval_s), round(LINE_WINDOW_S / interval_s)
        return cls(steps, max(day, 1), max(line, 3))

    @property
    def level(self) -> int:
        """Steps over which the level is taken: two horizons."""
        return max(2 * self.steps, 8)

    @property
    def trend(self) -> int:
        """Steps over which the trend is taken: three horizons."""
        return max(3 * self.steps, 12)


Forecaster = Callable[[Floats, Scale], Floats]


def last(windows: Floats, scale: Scale) -> Floats:
    """The last value again."""
    return np.repeat(windows[:, -1:], scale.steps, axis=1)


def median(windows: Floats, scale: Scale) -> Floats:
    """The median of the last two horizons."""
    level = np.median(windows[:, -scale.level :], axis=1, keepdims=True)
    return np.repeat(level, scale.steps, axis=1)


def trend(windows: Floats, scale: Scale) -> Floats:
    """A line through the last three horizons, by medians.

    Source: Theil (1950) and Sen, "Estimates of the regression coefficient based on Kendall's
    tau" (1968).
    """
    recent = windows[:, -scale.trend :]
    nodes = min(TREND_NODES, recent.shape[1])
    stretch = recent.shape[1] // nodes
    recent = recent[:, -nodes * stretch :]
    means = recent.reshape(len(recent), nodes, stretch).mean(axis=2)
    left, right = np.triu_indices(nodes, 1)
    slopes = np.median((means[:, right] - means[:, left]) / (right - left), axis=1, keepdims=True)
    base = np.median(means - slopes * np.arange(nodes), axis=1, keepdims=True)
    ahead = nodes - 1 + ((stretch - 1) / 2 + np.arange(1, scale.steps + 1)) / stretch
    result: Floats = base + slopes * ahead
    return result


def season(windows: Floats, scale: Scale) -> Floats:
    """The day before again, moved to today's level; wants a day and `level` steps of window."""
    places = -scale.day + np.arange(scale.steps) % scale.day
    level = windows[:, -scale.level :].mean(axis=1)
    level_then = windows[:, -scale.day - scale.level : -scale.day].mean(axis=1)
    result: Floats = windows[:, places] + (level - level_then)[:, None]
    return result


def linear(windows: Floats, scale: Scale) -> Floats:
    """The founding method: a line through the last 26 hours, by least squares."""
    recent = windows[:, -scale.line :]
    middle = (recent.shape[1] - 1) / 2
    places = np.arange(recent.shape[1]) - middle
    slopes = recent @ places / max(float(places @ places), 1.0)
    ahead = middle + np.arange(1, scale.steps + 1)
    result: Floats = recent.mean(axis=1)[:, None] + slopes[:, None] * ahead
    return result
