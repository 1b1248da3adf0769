"""How often patterns came in past windows, and which came unusually often or seldom in the last."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from sensorium.capabilities.logs.rates import log_likelihood_ratio, p_value
from sensorium.capabilities.logs.watch_schema import MAX_SIGNATURES, HistoryState

FEWEST_WINDOWS = 3
"""With fewer windows before, nothing is unusual yet."""
MEMORY = 50
"""Older windows fade: their number is halved once it exceeds this."""


class Unusual(NamedTuple):
    """A pattern's count in the last window, the mean before, and how likely that is by chance."""

    id: str
    seen: int
    expected: float
    p_value: float


@dataclass(slots=True)
class _Past:
    windows: float = 0.0
    total: float = 0.0
    squares: float = 0.0

    def add(self, count: int) -> None:
        if self.windows >= MEMORY:
            self.windows, self.total, self.squares = (
                self.windows / 2,
                self.total / 2,
                self.squares / 2,
            )
        self.windows += 1
        self.total += count
        self.squares += count * count

    def dispersion(self) -> float:
        mean = self.total / self.windows
        return max(1.0, (self.squares / self.windows - mean * mean) / mean) if mean else 1.0


class Histories:
    """The past of each pattern, by its id."""

    def __init__(self) -> None:
        self._past: dict[str, _Past] = {}

    def judge(
        self, counts: Mapping[str, int], *, min_change: float, false_alarm_rate: float
    ) -> list[Unusual]:
        """The unusual patterns of a window; then the window becomes part of the past.

        The past of an unusual pattern begins anew, so that a lasting change is told once.
        """
        found: list[Unusual] = []
        ids = sorted(self._past.keys() | counts.keys())
        for id_ in ids:
            count = counts.get(id_, 0)
            past = self._past.setdefault(id_, _Past())
            unusual = self._unusual(id_, count, past, min_change)
            if unusual is not None and unusual.p_value * len(ids) <= false_alarm_rate:
                found.append(unusual)
                past = self._past[id_] = _Past()
            past.add(count)
        return found

    def carry_over(self, before: Mapping[str, Iterable[str]]) -> None:
        """Rename: the past of each id is that of the ids that it replaces, added up."""
        past: dict[str, _Past] = {}
        for id_, old_ids in before.items():
            olds = [self._past[old] for old in old_ids if old in self._past]
            if len(olds) == 1:
                past[id_] = olds[0]
            elif olds:
                past[id_] = _Past(
                    windows=max(old.windows for old in olds),
                    total=sum(old.total for old in olds),
                    squares=sum(old.squares for old in olds),
                )
        self._past = past

    def export(self) -> list[HistoryState]:
        """The past as plain data."""
        return [
            HistoryState(
                id=id_, windows=round(past.windows), total=round(past.total), squares=past.squares
            )
            for id_, past in sorted(self._past.items())[:MAX_SIGNATURES]
        ]

    @classmethod
    def restore(cls, states: Iterable[HistoryState]) -> "Histories":
        """The histories whose `export` the states are."""
        histories = cls()
        histories._past = {
            state.id: _Past(float(state.windows), float(state.total), state.squares)
            for state in states
        }
        return histories

    @staticmethod
    def _unusual(id_: str, count: int, past: _Past, min_change: float) -> Unusual | None:
        if past.windows < FEWEST_WINDOWS:
            return None
        expected = past.total / past.windows
        low, high = sorted((float(count), expected))
        if high < min_change * low or high < 1:
            return None
        # Each window is one unit of exposure; the past has `windows` of them.
        seen, exposure = round(past.total), 1_000
        ratio = log_likelihood_ratio(count, seen, exposure, round(exposure * past.windows))
        return Unusual(id_, count, expected, p_value(ratio / past.dispersion()))
