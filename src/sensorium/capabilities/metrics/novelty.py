"""Novelty: a value far from every value seen before, measured against the range seen before.

The distance to the nearest past value is a one-class score of the nearest-neighbour kind (Tax and
Duin, "Data description in subspaces", ICPR 2000), over the past range so that it has no unit.
Remembering every value would grow without bound, so the line is cut into cells whose width is a
power of two, and only which cells were met is kept. When the range outgrows the cells allowed,
neighbouring cells merge in pairs. A band is thus off by one cell at most, about a thousandth of
the range.
"""

import math
from array import array
from bisect import bisect_left
from itertools import pairwise
from typing import Any

import numpy as np

from sensorium.capabilities.metrics.bands import Bands
from sensorium.capabilities.metrics.points import Floats
from sensorium.capabilities.metrics.schema import SeriesState
from sensorium.core.errors import InvalidInputError

TOLERANCE = 0.02
"""Share of the past range that a value may lie away from all past values."""
WARM_UP_POINTS = 12.0
"""With few points there are wide gaps by chance: after n of them, this over n is tolerated. Plain
noise (normal, log-normal, Poisson, with a rhythm, a random walk) then alerts about once in its
first 100 points."""
WIDEST_TOLERANCE = 0.5
FEWEST_POINTS = 5
ROUNDING = 1e-9
"""Relative distance that is never news: it may come from arithmetic at the source."""

MAX_CELLS = 2048
FINEST_EXPONENT = -200
CELL_BITS = 40
"""Cells are never finer than the largest magnitude over 2 to this power: far below `ROUNDING`."""
GRID_POINTS = 4096
"""Points put on the grid at a time: when its width changes, the rest is put on it anew."""


class Novelty:
    """The values met so far as a set of cells, and the band that it allows around each."""

    def __init__(self, sensitivity: float) -> None:
        self._sensitivity = sensitivity
        self._exponent = FINEST_EXPONENT
        self._seen = 0
        self._cells = array("d")

    def judge(self, times: Floats, values: Floats) -> Bands:
        """See `Detector.judge`; `times` do not matter to it."""
        expected, ranges, widths = (np.empty(len(values)) for _ in range(3))
        start = 0
        while start < len(values):
            stop = start + GRID_POINTS
            done = self._meet(values[start:stop], expected[start:stop], ranges[start:stop])
            stop = start + done[0]
            widths[start:stop] = done[1]
            start = stop
        # What lies in a cell met before differs by less than its width from something known.
        half_width = np.maximum(self._tolerances(len(values)) * ranges, widths)
        np.maximum(half_width, ROUNDING * np.abs(expected), out=half_width)
        self._seen += len(values)
        return Bands(expected, half_width)

    @property
    def retained(self) -> int:
        """See `Detector.retained`."""
        return len(self._cells)

    def remembered(self) -> dict[str, Any]:
        """See `Detector.remembered`."""
        cells = [int(cell) for cell in self._cells]
        return {"exponent": self._exponent, "cells": cells}

    def resume(self, state: SeriesState) -> None:
        """See `Detector.resume`."""
        cells = state.cells
        if any(left >= right for left, right in pairwise(cells)):
            raise InvalidInputError(f"The cells of series {state.name!r} are not ascending.")
        if bool(cells) != bool(state.seen) or len(cells) > state.seen:
            raise InvalidInputError(f"The cells of series {state.name!r} contradict its count.")
        self._exponent, self._seen = state.exponent, state.seen
        self._cells = array("d", cells)

    def _meet(self, values: Floats, expected: Floats, ranges: Floats) -> tuple[int, float]:
        """Fill in the middle of each band and the past range, and learn, until the grid changes.

        Returns how many values were met, and the width of the cells they were met on.
        """
        width = math.ldexp(1.0, self._exponent)
        numbers = np.floor(values / width)
        np.multiply(numbers + 0.5, width, out=expected)
        cells = self._cells
        ranged = 0
        for position in self._unknown(numbers):
            cell = float(numbers[position])
            place = bisect_left(cells, cell)
            if place < len(cells) and cells[place] == cell:
                continue  # met just now, among these
            around = cells[max(place - 1, 0) : place + 1]
            if around:
                below, above = around[0], around[-1]
                nearest = below if cell - below <= above - cell else above
                expected[position] = (nearest + 0.5) * width
            if not 0 < place < len(cells):
                ranges[ranged : position + 1] = self._range(width)
                ranged = position + 1
                if self._reach(float(values[position])):
                    return ranged, width
            cells.insert(place, cell)
        ranges[ranged:] = self._range(width)
        return len(values), width

    def _range(self, width: float) -> float:
        return (self._cells[-1] - self._cells[0]) * width if self._cells else 0.0

    def _unknown(self, numbers: Floats) -> list[int]:
        """Which of the cells were not met before these."""
        if not self._cells:
            return list(range(len(numbers)))
        met = np.array(self._cells)
        place = np.minimum(np.searchsorted(met, numbers), len(met) - 1)
        return np.flatnonzero(met[place] != numbers).tolist()

    def _reach(self, value: float) -> bool:
        """Make the grid coarse enough for a value outside the range; learn it if it changed."""
        width = math.ldexp(1.0, self._exponent)
        lowest = min(self._cells[0] * width, value) if self._cells else value
        highest = max((self._cells[-1] + 1) * width, value) if self._cells else value
        exponent = max(
            _exponent_above(max(abs(lowest), abs(highest))) - CELL_BITS,
            _exponent_above((highest - lowest) / (MAX_CELLS - 1)),
        )
        if exponent <= self._exponent:
            return False
        merged = {math.floor(math.ldexp(cell, self._exponent - exponent)) for cell in self._cells}
        merged.add(math.floor(math.ldexp(value, -exponent)))
        self._exponent = exponent
        self._cells = array("d", sorted(merged))
        return True

    def _tolerances(self, count: int) -> Floats:
        """The shares of the past range tolerated at the next points; NaN while it warms up."""
        seen = np.arange(self._seen, self._seen + count, dtype=np.float64)
        by_chance = WARM_UP_POINTS / np.maximum(seen, 1)
        shares = np.minimum(np.maximum(by_chance, TOLERANCE) / self._sensitivity, WIDEST_TOLERANCE)
        shares[seen < FEWEST_POINTS] = np.nan
        return shares


def _exponent_above(number: float) -> int:
    """The least e with number < 2**e."""
    return math.frexp(number)[1] if number else FINEST_EXPONENT
