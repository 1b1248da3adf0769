"""Plots as image files; a leaf, because it takes matplotlib."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from matplotlib import dates
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from sensorium.cli.picture import Picture, Points

WIDTH, HEIGHT = 11.0, 2.6
"""Inches, the height of each plot."""
LINE, BAND, MARK, FUTURE, THRESHOLD = "#1f6f8b", "#1f6f8b", "#d1343b", "#8e44ad", "#c08a00"
ROOM = 0.4
"""How far beyond the line a wide band is shown, as a part of the line's range."""
DATES: Any = dates  # its functions are not typed
CANVASES: dict[str, Any] = {"png": FigureCanvasAgg, "svg": FigureCanvasSVG}


def save(pictures: Sequence[Picture], path: Path) -> None:
    """Write the plots, one below the other, in the format that the name says (png, svg)."""
    figure = Figure(figsize=(WIDTH, HEIGHT * len(pictures) + 0.3), dpi=110, layout="constrained")
    CANVASES[path.suffix[1:].lower()](figure)
    for number, picture in enumerate(pictures, 1):
        _draw(figure.add_subplot(len(pictures), 1, number), picture)
    figure.savefig(path)


def _draw(axes: Any, picture: Picture) -> None:
    axes.set_title(picture.title, loc="left", fontsize=10, fontweight="bold", parse_math=False)
    ribbon = picture.ribbon
    if ribbon.times:
        moments = _moments(ribbon.times)
        axes.fill_between(moments, ribbon.lower, ribbon.upper, color=BAND, alpha=0.15, lw=0)
    _line(axes, picture.line, color=LINE, lw=0.9)
    _line(axes, picture.future, color=FUTURE, lw=1.4)
    _line(axes, picture.marks, color=MARK, ls="", marker="o", ms=5)
    if picture.threshold is not None:
        axes.axhline(picture.threshold, color=THRESHOLD, lw=1, ls="--")
    _keep_line_large(axes, picture)
    locator = DATES.AutoDateLocator(tz=UTC)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(DATES.ConciseDateFormatter(locator, tz=UTC))
    axes.grid(visible=True, alpha=0.25)
    axes.margins(x=0.01)
    axes.spines[["top", "right"]].set_visible(False)


def _line(axes: Any, points: Points, **look: Any) -> None:
    axes.plot(_moments(points.times), points.values, **look)


def _keep_line_large(axes: Any, picture: Picture) -> None:
    """Cut a band that would press the line flat."""
    values = [*picture.line.values, *picture.future.values]
    if picture.threshold is not None:
        values.append(picture.threshold)
    if not values:
        return
    low, high = min(values), max(values)
    if low == high:
        half = abs(high) * ROOM or 1.0
        axes.set_ylim(low - half, high + half)
        return
    room = (high - low) * ROOM
    bottom, top = axes.get_ylim()
    axes.set_ylim(max(bottom, low - room), min(top, high + room))


def _moments(times: Sequence[float]) -> list[datetime]:
    return [datetime.fromtimestamp(time, UTC) for time in times]
