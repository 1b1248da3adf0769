"""A plot on a terminal: lines in braille dots, a band behind them, anomalies as marks."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import pairwise

from sensorium.cli.moments import show_tick
from sensorium.cli.picture import Picture, Points
from sensorium.cli.terminal import paint

BRAILLE = 0x2800
DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""The bits of the dots of a braille cell, by row and column."""
SHADE, MARK, RULE = "\N{LIGHT SHADE}", "\N{BLACK CIRCLE}", "\N{BOX DRAWINGS LIGHT HORIZONTAL}"
MARGIN = 0.05
FLAT = 1e-12
"""A line whose range is a smaller part of its values than this is flat."""
LABEL = 10
TICKS = 4
LEAST_SHARE_OF_HEIGHT = 0.35
"""A band so much wider than the line that this would be less of the height is cut."""


class _Canvas:
    """A grid of cells of two by four dots, over a range of times and values."""

    def __init__(
        self, columns: int, rows: int, times: tuple[float, float], values: tuple[float, float]
    ) -> None:
        self.columns, self.rows = columns, rows
        self._begin, end = times
        self._low, high = values
        self._across = (columns * 2 - 1) / ((end - self._begin) or 1.0)
        self._up = (rows * 4 - 1) / ((high - self._low) or 1.0)
        self._dots = [[0] * columns for _ in range(rows)]
        self._styles = [[""] * columns for _ in range(rows)]
        self._fill = [[" "] * columns for _ in range(rows)]

    def x(self, time: float) -> int:
        """The column of dots of a time."""
        return round((time - self._begin) * self._across)

    def y(self, value: float) -> int:
        """The row of dots of a value, from the top; clipped to the canvas."""
        return (
            self.rows * 4
            - 1
            - min(max(round((value - self._low) * self._up), 0), self.rows * 4 - 1)
        )

    def line(self, points: Points, style: str) -> None:
        """Draw a line; each column of dots holds the range of what it stands for."""
        spans: dict[int, tuple[int, int]] = {}
        for time, value in zip(points.times, points.values, strict=True):
            x, y = self.x(time), self.y(value)
            top, bottom = spans.get(x, (y, y))
            spans[x] = (min(top, y), max(bottom, y))
        for (x, span), (following, other) in pairwise([*spans.items(), (-1, (0, 0))]):
            self._column(x, *span, style)
            if following > x:
                self._join(x, span, following, other, style)

    def _join(
        self, x: int, span: tuple[int, int], following: int, other: tuple[int, int], style: str
    ) -> None:
        """Connect the nearest ends of two columns that follow each other."""
        begin, end = min(
            ((a, b) for a in span for b in other), key=lambda pair: abs(pair[0] - pair[1])
        )
        before = begin
        for at in range(x + 1, following + 1):
            now = begin + round((end - begin) * (at - x) / (following - x))
            self._column(at, min(before, now), max(before, now), style)
            before = now

    def _column(self, x: int, top: int, bottom: int, style: str) -> None:
        for y in range(top, bottom + 1):
            self._dots[y // 4][x // 2] |= DOTS[y % 4][x % 2]
            self._styles[y // 4][x // 2] = style

    def shade(self, x: int, top: int, bottom: int) -> None:
        """Shade the cells between two rows of dots."""
        for row in range(top // 4, bottom // 4 + 1):
            self._fill[row][x // 2] = SHADE

    def rule(self, y: int) -> None:
        """Draw a line across, behind everything."""
        self._fill[y // 4] = [RULE] * self.columns

    def mark(self, time: float, value: float) -> None:
        """Put a mark over whatever is there."""
        row, column = self.y(value) // 4, self.x(time) // 2
        self._dots[row][column], self._fill[row][column] = 0, MARK
        self._styles[row][column] = ""

    def text(self) -> Iterator[str]:
        """The rows as text."""
        for dots, styles, fill in zip(self._dots, self._styles, self._fill, strict=True):
            cells = (_cell(*each) for each in zip(dots, styles, fill, strict=True))
            yield "".join(paint(text, style) for text, style in _runs(cells))


def _cell(dots: int, style: str, fill: str) -> tuple[str, str]:
    if dots:
        return chr(BRAILLE + dots), style
    return fill, {SHADE: "dim", MARK: "bold red", RULE: "yellow"}.get(fill, "")


def _runs(cells: Iterator[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Cells of one style together."""
    run, current = "", ""
    for text, style in cells:
        if style != current:
            yield run, current
            run, current = "", style
        run += text
    yield run, current


def draw(picture: Picture, width: int, height: int) -> list[str]:
    """The lines of a plot that many characters wide, its title and axes included."""
    if not picture.line.times:
        return [paint(picture.title, "bold"), "  no values"]
    low, high = _range(picture)
    columns = max(20, width - LABEL - 2)
    canvas = _Canvas(columns, height, picture.times, (low, high))
    _shade(canvas, picture)
    if picture.threshold is not None:
        canvas.rule(canvas.y(picture.threshold))
    canvas.line(picture.line, "cyan")
    canvas.line(picture.future, "magenta")
    for time, value in zip(picture.marks.times, picture.marks.values, strict=True):
        canvas.mark(time, value)
    labels = _labels(low, high, height)
    rows = [
        f"{paint(f'{label:>{LABEL}}', 'dim')} {paint('│', 'dim')}{text}"
        for label, text in zip(labels, canvas.text(), strict=True)
    ]
    return [f"{'':{LABEL}}  {paint(picture.title, 'bold')}", *rows, _time_axis(picture, columns)]


def _range(picture: Picture) -> tuple[float, float]:
    """The values that the plot spans: those of the lines, and the band where it is not too wide."""
    drawn = [*picture.line.values, *picture.future.values, *picture.marks.values]
    if picture.threshold is not None:
        drawn.append(picture.threshold)
    low, high = min(drawn), max(drawn)
    room = (high - low) * (1 / LEAST_SHARE_OF_HEIGHT - 1) / 2
    if picture.ribbon.times:
        low = max(min(low, *picture.ribbon.lower), low - room)
        high = min(max(high, *picture.ribbon.upper), high + room)
    margin = (high - low) * MARGIN
    largest = max(abs(low), abs(high))
    if margin <= FLAT * max(largest, FLAT):
        margin = largest * MARGIN if largest > FLAT else 1.0
    return low - margin, high + margin


def _shade(canvas: _Canvas, picture: Picture) -> None:
    ribbon = picture.ribbon
    if not ribbon.times:
        return
    for x in range(canvas.x(ribbon.times[0]), canvas.x(ribbon.times[-1]) + 1):
        at = max(0, bisect_right(ribbon.times, x, key=canvas.x) - 1)
        canvas.shade(x, canvas.y(ribbon.upper[at]), canvas.y(ribbon.lower[at]))


def _labels(low: float, high: float, height: int) -> list[str]:
    """A value beside the top, the middle and the bottom row."""
    labels = [""] * height
    for row in sorted({0, (height - 1) // 2, height - 1}):
        labels[row] = _number(high - (high - low) * (row + 0.5) / height)
    return labels


def _number(value: float) -> str:
    if 1e4 <= abs(value) < 1e7:
        return f"{value:,.0f}"
    text = f"{value:.4g}"
    return text if len(text) <= LABEL else f"{value:.3g}"


def _time_axis(picture: Picture, columns: int) -> str:
    begin, end = picture.times
    ticks = [show_tick(begin + (end - begin) * n / TICKS, end - begin) for n in range(TICKS + 1)]
    return paint(f"{'':{LABEL}}  {_spread(ticks, columns)}", "dim")


def _spread(texts: Sequence[str], columns: int) -> str:
    """Texts spread evenly, the first to the left and the last to the right; as many as fit."""
    if sum(map(len, texts)) + 2 * len(texts) > columns:
        texts = [texts[0], texts[-1]]
    row = texts[0]
    for number, text in enumerate(texts[1:], 1):
        last = number == len(texts) - 1
        centre = round(columns * number / (len(texts) - 1))
        start = columns - len(text) if last else centre - len(text) // 2
        row = row.ljust(start) + text
    return row
