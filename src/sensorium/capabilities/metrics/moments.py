"""Mean and deviation of a moving window of time, without ever subtracting from a running sum.

Running sums that add the new and subtract the old lose all digits after one huge value. Here time
is cut into blocks as long as the window, so that a window is the end of one block and the
beginning of the next: sums from each point to the end of its block, and from the beginning of the
block to each point, only ever add (van Herk, "A fast algorithm for local minimum and maximum
filters on rectangular and octagonal kernels", 1992; here for moments). The two parts are merged by
the formula of Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for computing
sample variances" (1979).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sensorium.capabilities.metrics.points import Floats, Integers


@dataclass(frozen=True)
class Sums:
    """Moments of n parts, arrays of shape (n,): counts, and sums of value - shift and its square.

    The shift is a value of the part itself, so no value outside it can spoil its digits.
    """

    count: Integers
    first: Floats
    second: Floats
    shift: Floats


@dataclass(frozen=True)
class Block:
    """The points of one block, and the sums from each of them (and from none) to its end."""

    number: float
    times: Floats
    values: Floats
    first: Floats
    second: Floats

    @classmethod
    def of(cls, number: float, times: Floats, values: Floats) -> "Block":
        """The block of points in order of time, shape (n,) with n >= 0."""
        backwards = np.concatenate([np.zeros(1), values[::-1] - values[-1:]])
        first = np.add.accumulate(backwards)[::-1]
        second = np.add.accumulate(backwards * backwards)[::-1]
        return cls(number, times, values, first, second)

    def since(self, starts: Floats) -> Sums:
        """The moments from each of the times `starts` to the end of the block."""
        position = np.searchsorted(self.times, starts, side="left")
        shift = self.values[-1] if len(self.values) else 0.0
        return Sums(
            len(self.times) - position,
            self.first[position],
            self.second[position],
            np.full(len(starts), shift),
        )


NO_BLOCK = Block.of(-np.inf, np.empty(0), np.empty(0))


def merge(left: Sums, right: Sums) -> tuple[Integers, Floats, Floats]:
    """Counts, means and population standard deviations of pairs of parts.

    Where a count is 0, mean and deviation mean nothing.
    """
    left_mean, left_spread = _centred(left)
    right_mean, right_spread = _centred(right)
    count = left.count + right.count
    share = right.count / np.maximum(count, 1)
    apart = right_mean - left_mean
    mean = np.where(left.count > 0, left_mean + apart * share, right_mean)
    spread = left_spread + right_spread + apart * apart * share * left.count
    return count, mean, np.sqrt(spread / np.maximum(count, 1))


def _centred(sums: Sums) -> tuple[Floats, Floats]:
    """Mean, and sum of squared distances from it."""
    mean = sums.first / np.maximum(sums.count, 1)
    return sums.shift + mean, np.maximum(sums.second - mean * sums.first, 0.0)


def joined(parts: Sequence[Sums]) -> Sums:
    """Parts one after another."""
    if len(parts) == 1:
        return parts[0]
    return Sums(
        np.concatenate([part.count for part in parts]),
        np.concatenate([part.first for part in parts]),
        np.concatenate([part.second for part in parts]),
        np.concatenate([part.shift for part in parts]),
    )


@dataclass(frozen=True)
class Rows:
    """Whole blocks side by side, so that short ones cost no loop; bits are those of `Block`.

    `numbers` and `lengths` have shape (blocks,), no length is 0; `times` and `values` have shape
    (sum of lengths,).
    """

    numbers: Floats
    lengths: Integers
    times: Floats
    values: Floats

    @property
    def cells(self) -> int:
        """How many cells each table of sums has."""
        return len(self.lengths) * (int(self.lengths.max()) + 1)

    def windows(self, window_s: float) -> tuple[Sums, Sums]:
        """The two parts of the window before each point of all blocks but the first."""
        ends = np.cumsum(self.lengths)
        return self._ends_of_previous(ends, window_s), self._beginnings(ends)

    def _ends_of_previous(self, ends: Integers, window_s: float) -> Sums:
        lengths, here = self.lengths[:-1], self.lengths[1:]
        last = self.values[ends[:-1] - 1]
        shifted = self.values[: ends[-2]] - np.repeat(last, lengths)
        first, second = _running(shifted[::-1], lengths[::-1])
        starts = np.searchsorted(self.times, self.times[ends[0] :] - window_s, side="left")
        adjacent = self.numbers[1:] == self.numbers[:-1] + 1
        most = np.where(adjacent, lengths, 0)
        count = np.clip(np.repeat(ends[:-1], here) - starts, 0, np.repeat(most, here))
        row = np.arange(len(lengths) - 1, -1, -1) * first.shape[1]
        cell = np.repeat(row, here) + count
        return Sums(count, first.ravel()[cell], second.ravel()[cell], np.repeat(last, here))

    def _beginnings(self, ends: Integers) -> Sums:
        lengths = self.lengths[1:]
        shift = np.repeat(self.values[ends[:-1]], lengths)
        first, second = _running(self.values[ends[0] :] - shift, lengths)
        columns = np.arange(first.shape[1])
        before = columns < lengths[:, None]
        count = np.broadcast_to(columns, before.shape)[before]
        return Sums(count, first[before], second[before], shift)


def _running(shifted: Floats, lengths: Integers) -> tuple[Floats, Floats]:
    """Tables of running sums, of values and of squares: column k of a row is over its first k."""
    columns = np.arange(int(lengths.max()) + 1)
    table = np.zeros((len(lengths), len(columns)))
    table[(columns > 0) & (columns <= lengths[:, None])] = shifted
    return np.add.accumulate(table, axis=1), np.add.accumulate(table * table, axis=1)
