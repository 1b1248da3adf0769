"""Which columns of a table a narrow terminal shows, and how wide: names whole, prose wrapped."""

from collections.abc import Sequence
from dataclasses import dataclass

PROSE = 30
"""Cells with blanks that are longer than this are wrapped rather than cut."""
LEAST_PROSE, LEAST = 24, 10
"""Prose is wrapped to this before a column is left out; what else is longer is cut to that."""
GAP, EDGES = 3, 2


@dataclass(frozen=True)
class Column:
    """A column's widest cell, its heading included, and what may be done to it."""

    width: int
    numeric: bool = False
    prose: bool = False
    kept: bool = False
    """It is never left out, however narrow the others become for it."""

    @property
    def least(self) -> int:
        """How narrow it may become; a figure that is cut would be another one."""
        if self.numeric:
            return self.width
        return min(self.width, LEAST_PROSE if self.prose else LEAST)


def fit(columns: Sequence[Column], room: int) -> dict[int, int]:
    """The widths of the columns that are shown, by their place.

    The first is whole where it can be. Prose becomes narrow first, then what can be cut; after
    that the last columns are left out, prose last of all.
    """
    shown = list(range(len(columns)))
    while True:
        inner = room - EDGES - GAP * (len(shown) - 1)
        widths = {each: columns[each].width for each in shown}
        least = {each: columns[each].least for each in shown}
        prose = [each for each in shown[1:] if columns[each].prose]
        _narrow(widths, inner, prose, least)
        _narrow(widths, inner, [each for each in shown[1:] if each not in prose], least)
        spare = [] if len(shown) == 2 and prose else shown[1:]  # a name, and what is said of it
        spare = [each for each in spare if not columns[each].kept]
        if sum(widths.values()) <= inner:
            return widths
        if not spare:
            for some in (prose, shown[:1]):
                _narrow(widths, inner, some, dict.fromkeys(some, LEAST))
            _narrow(widths, inner, shown, dict.fromkeys(shown, 1))
            return widths
        shown.remove(max(spare, key=lambda each: (not columns[each].prose, each)))


def _narrow(
    widths: dict[int, int], inner: int, which: Sequence[int], least: dict[int, int]
) -> None:
    """Take what is too much from these columns, from the widest first."""
    for _ in range(max(0, sum(widths.values()) - inner)):
        wide = [each for each in which if widths[each] > least[each]]
        if not wide:
            return
        widths[max(wide, key=lambda each: widths[each])] -= 1
