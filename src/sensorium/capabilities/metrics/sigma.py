"""The founding rule: the mean of the 26 hours before, plus or minus two standard deviations.

The window of a point at time t holds the points before it with times from t - 26 h on: by time,
however irregular the sampling. The deviation is the population's.
"""

from array import array
from itertools import pairwise
from typing import Any

import numpy as np

from sensorium.capabilities.metrics.bands import Bands
from sensorium.capabilities.metrics.moments import (
    NO_BLOCK,
    Block,
    Rows,
    Sums,
    joined,
    merge,
)
from sensorium.capabilities.metrics.points import MAX_MAGNITUDE, Floats
from sensorium.capabilities.metrics.schema import SeriesState
from sensorium.core.errors import InvalidInputError

WINDOW_S = 26 * 3600.0
SIGMAS = 2.0
FEWEST_POINTS = 5
ROUNDING = 1e-12
"""Relative distance that arithmetic alone can make."""
TINIEST = 1e-150
"""The squares of smaller distances are not numbers any more: they count as none."""
MANY_BLOCKS = 8
"""From so many on, blocks are summed side by side."""
SPARSEST = 4
"""Tables of sums may be so many times larger than the points in them."""


class Sigma:
    """The block of time before, whole, and the one begun, with running sums."""

    def __init__(self, sensitivity: float) -> None:
        self._sigmas = SIGMAS / sensitivity
        self._before = NO_BLOCK
        self._number = -np.inf
        self._times, self._values = array("d"), array("d")
        self._first = self._second = 0.0

    def judge(self, times: Floats, values: Floats) -> Bands:
        """See `Detector.judge`."""
        if not len(times):
            return Bands(np.empty(0), np.empty(0))
        numbers = np.floor(times / WINDOW_S)
        cuts = np.flatnonzero(numbers[1:] != numbers[:-1]) + 1
        parts = self._parts([0, *cuts.tolist(), len(times)], numbers, times, values)
        count, mean, deviation = merge(
            joined([before for before, _ in parts]),
            joined([begun for _, begun in parts]),
        )
        half_width = self._sigmas * deviation + ROUNDING * np.abs(mean) + TINIEST
        unknown = count < FEWEST_POINTS
        mean[unknown] = half_width[unknown] = np.nan
        return Bands(mean, half_width)

    @property
    def retained(self) -> int:
        """See `Detector.retained`."""
        return 2 * len(self._before.times) + len(self._times)

    def remembered(self) -> dict[str, Any]:
        """See `Detector.remembered`."""
        newest = self._times[-1] if self._times else -np.inf
        kept = self._before.times >= newest - WINDOW_S
        times = [*self._before.times[kept].tolist(), *self._times]
        values = [*self._before.values[kept].tolist(), *self._values]
        return {"times": times, "values": values}

    def resume(self, state: SeriesState) -> None:
        """See `Detector.resume`."""
        times, values = np.array(state.times), np.array(state.values)
        if len(times) != len(values) or np.any(times[1:] < times[:-1]):
            raise InvalidInputError(f"The window of series {state.name!r} is not in order.")
        if not (np.isfinite(times).all() and np.all(np.abs(values) <= MAX_MAGNITUDE)):
            raise InvalidInputError(f"The window of series {state.name!r} is not of numbers.")
        self.judge(times, values)

    def _parts(
        self, edges: list[int], numbers: Floats, times: Floats, values: Floats
    ) -> list[tuple[Sums, Sums]]:
        """Both parts of every point's window; `edges` cut the points into blocks."""
        pieces = [slice(start, stop) for start, stop in pairwise(edges)]
        if len(pieces) < MANY_BLOCKS:
            return [self._extend(numbers[p][0], times[p], values[p]) for p in pieces]
        head, tail = pieces[0], pieces[-1]
        parts = [self._extend(numbers[head][0], times[head], values[head])]
        rows = Rows(
            np.concatenate([[self._number], numbers[edges[1:-2]]]),
            np.concatenate([[len(self._times)], np.diff(edges[1:-1])]),
            np.concatenate([self._times, times[head.stop : tail.start]]),
            np.concatenate([self._values, values[head.stop : tail.start]]),
        )
        if rows.cells <= SPARSEST * len(rows.times):
            parts.append(rows.windows(WINDOW_S))
            whole = pieces[-2]
            self._begin(numbers[whole][0], times[whole], values[whole])
        else:
            parts += [self._extend(numbers[p][0], times[p], values[p]) for p in pieces[1:-1]]
        parts.append(self._extend(numbers[tail][0], times[tail], values[tail]))
        return parts

    def _extend(self, number: float, times: Floats, values: Floats) -> tuple[Sums, Sums]:
        """Both parts of the windows of points of one block; then learn from the points."""
        if number != self._number:
            follows = number == self._number + 1
            self._before = (
                Block.of(self._number, np.array(self._times), np.array(self._values))
                if follows
                else NO_BLOCK
            )
            self._begin(number, np.empty(0), np.empty(0))
        seen = len(self._values)
        shift = self._values[0] if seen else values[0]
        shifted = values - shift
        first = np.add.accumulate(np.concatenate([[self._first], shifted]))
        second = np.add.accumulate(np.concatenate([[self._second], shifted * shifted]))
        self._first, self._second = first[-1], second[-1]
        self._times.frombytes(times.tobytes())
        self._values.frombytes(values.tobytes())
        begun = Sums(
            np.arange(seen, seen + len(values)),
            first[:-1],
            second[:-1],
            np.full(len(values), shift),
        )
        return self._before.since(times - WINDOW_S), begun

    def _begin(self, number: float, times: Floats, values: Floats) -> None:
        """Take up a block, with points whose sums nobody will ask for."""
        self._number = number
        self._times, self._values = (
            array("d", times.tobytes()),
            array("d", values.tobytes()),
        )
        self._first = self._second = 0.0
