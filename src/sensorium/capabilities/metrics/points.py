"""A series as arrays: checked, in order of time, without its missing values."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sensorium.core.errors import InvalidInputError
from sensorium.core.types import Series

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Check = Callable[[], None]

BLOCK_POINTS = 65_536
SORT_POINTS = 262_144
DEFAULT_INTERVAL_S = 60.0
MAX_MAGNITUDE = 1e150
MAX_EPOCH_S = 1e12


@dataclass(frozen=True)
class Points:
    """The present values of a series, each array of shape (n,), in order of time.

    `index` is each value's position among the `given` values of the series.
    """

    times: Floats
    values: Floats
    index: Integers
    given: int

    @property
    def missing(self) -> int:
        """How many values were null."""
        return self.given - len(self.values)

    def block(self, start: int, stop: int) -> "Points":
        """Some of the present values, by their place in order of time."""
        part = slice(start, stop)
        return Points(self.times[part], self.values[part], self.index[part], self.given)


def read_points(series: Series, check: Check, *, first: int = 0) -> Points:
    """The present values of a series, ordered by time; points of one time keep their order.

    `first` is how many values of the series came before these: where it has no timestamps, its
    times go on from there.

    Raises:
        InvalidInputError: numbers of timestamps and values differ, both kinds of time are given,
            a time is not finite, or a value is infinite or beyond 1e150 (its square would not
            be a number).
    """
    values = _array(series.values, check)
    if not _within(values, MAX_MAGNITUDE):
        raise InvalidInputError(
            f"The values of series {series.name!r} must lie within ±{MAX_MAGNITUDE:g}.",
            details={"series": series.name},
        )
    check()
    times = _times(series, first, check)
    check()
    order = _order(times, check)
    check()
    if order is not None:
        values = values[order]
        check()
        times = times[order]
        check()
    present = ~np.isnan(values)
    if order is None and present.all():
        return Points(times, values, np.arange(len(values)), len(values))
    index = np.flatnonzero(present) if order is None else order[present]
    check()
    return Points(times[present], values[present], index, len(values))


def _times(series: Series, first: int, check: Check) -> Floats:
    count = len(series.values)
    if series.timestamps is None:
        interval_s = DEFAULT_INTERVAL_S if series.interval_s is None else series.interval_s
        if not 0 < interval_s <= MAX_EPOCH_S:
            raise InvalidInputError("interval_s must be a positive number of seconds.")
        if (first + count) * interval_s > MAX_EPOCH_S:
            raise InvalidInputError(
                f"Series {series.name!r} ends later than {MAX_EPOCH_S:g} s after its start.",
                details={"series": series.name},
            )
        return np.arange(first, first + count, dtype=np.float64) * interval_s
    if series.interval_s is not None:
        raise InvalidInputError(
            f"Series {series.name!r} has both timestamps and interval_s: give one of them.",
            details={"series": series.name},
        )
    if len(series.timestamps) != count:
        raise InvalidInputError(
            f"Series {series.name!r} has {len(series.timestamps)} timestamps for {count} values.",
            details={
                "series": series.name,
                "timestamps": len(series.timestamps),
                "values": count,
            },
        )
    times = _array(series.timestamps, check)
    if np.isnan(times).any() or not _within(times, MAX_EPOCH_S):
        raise InvalidInputError(
            f"The timestamps of series {series.name!r} must be epoch seconds.",
            details={"series": series.name},
        )
    return times


def _array(numbers: list[float] | list[float | None], check: Check) -> Floats:
    result = np.empty(len(numbers))
    for start in range(0, len(numbers), BLOCK_POINTS):
        check()
        result[start : start + BLOCK_POINTS] = np.array(
            numbers[start : start + BLOCK_POINTS], dtype=np.float64
        )
    return result


def _within(numbers: Floats, limit: float) -> bool:
    """Whether every number that is one lies within ±limit."""
    if not len(numbers):
        return True
    return not (np.fmax.reduce(numbers) > limit or np.fmin.reduce(numbers) < -limit)


def _order(times: Floats, check: Check) -> Integers | None:
    """The permutation that sorts the times stably; None where they are in order already."""
    if bool((times[1:] >= times[:-1]).all()):
        return None
    if len(times) <= SORT_POINTS:
        return np.argsort(times, kind="stable")
    # A sort of millions cannot be interrupted: sort ranges of time one by one.
    shares = np.linspace(0, 1, 2 + len(times) // SORT_POINTS)[1:-1]
    edges = np.quantile(times[:: len(times) // SORT_POINTS], shares)
    bucket = np.empty(len(times), dtype=np.int32)
    for start in range(0, len(times), BLOCK_POINTS):
        check()
        block = slice(start, start + BLOCK_POINTS)
        bucket[block] = np.searchsorted(edges, times[block], side="right")
    parts = []
    for number in range(len(edges) + 1):
        check()
        part = np.flatnonzero(bucket == number)
        parts.append(part[np.argsort(times[part], kind="stable")])
    return np.concatenate(parts)
