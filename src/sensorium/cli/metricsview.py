"""How anomalies and forecasts look: plots and tables on a terminal, plain lines in a pipe."""

import shutil
from collections.abc import Sequence

from sensorium.capabilities.metrics.schema import (
    Crossing,
    DetectAnomaliesResponse,
    ForecastPoint,
    ForecastResponse,
    SeriesForecast,
)
from sensorium.cli.moments import show_time
from sensorium.cli.numbers import show_duration
from sensorium.cli.picture import Picture
from sensorium.cli.plot import draw
from sensorium.cli.render import Output

ROWS_DRAWN = 30
"""Rows of a table on a terminal; a pipe gets all."""
PLOTS_DRAWN = 6
PLOT_ROWS = 10
MAX_WIDTH = 160
STEPS_DRAWN = 6


def show_anomalies(output: Output, answer: DetectAnomaliesResponse) -> None:
    """Print anomalies in order of time, and on a terminal how many there are."""
    found = sorted(
        ((each, result.name) for result in answer.series for each in result.anomalies),
        key=lambda pair: pair[0].timestamp,
    )
    rows = [
        (show_time(a.timestamp), name, a.value, a.expected, a.lower, a.upper, a.score, a.direction)
        for a, name in found
    ]
    columns = ["time", "series", "value", "expected", "lower", "upper", "score", "direction"]
    if not output.drawn:
        output.table(columns, rows)
        return
    if rows:
        styles = ["red" if row[-1] == "above" else "blue" for row in rows]
        output.table(columns, rows[-ROWS_DRAWN:], styles=styles[-ROWS_DRAWN:])
    if len(rows) > ROWS_DRAWN:
        output.line(f"The latest {ROWS_DRAWN} of {len(rows):,} (a pipe or --json gets all).")
    judged = sum(result.judged for result in answer.series)
    missing = sum(result.missing for result in answer.series)
    output.line(
        f"{len(rows):,} anomalies among {judged:,} values of {len(answer.series):,} series"
        + (f", {missing:,} missing" if missing else "")
    )


def show_forecast(output: Output, answer: ForecastResponse) -> None:
    """Print steps ahead (on a terminal a few of them), and when thresholds are reached."""
    rows = []
    for told in answer.series:
        points = _some(told.points) if output.drawn else told.points
        rows += [(show_time(p.timestamp), told.name, p.value, p.lower, p.upper) for p in points]
    if output.drawn:
        output.table(["time", "series", "value", "lower", "upper"], rows[:ROWS_DRAWN])
        for told in answer.series[:ROWS_DRAWN]:
            output.line(_told(told))
        return
    output.table([], rows)
    output.table(
        [],
        [
            ("threshold", told.name, told.time_to_threshold.state, _when(told.time_to_threshold))
            for told in answer.series
            if told.time_to_threshold is not None
        ],
    )


def _some(points: Sequence[ForecastPoint]) -> list[ForecastPoint]:
    """A few points, evenly apart, the last among them."""
    count = min(STEPS_DRAWN, len(points))
    return [points[len(points) * (number + 1) // count - 1] for number in range(count)]


def _told(told: SeriesForecast) -> str:
    error = "" if told.backtest_error is None else f", usual error {told.backtest_error:.3g}"
    crossing = told.time_to_threshold
    return f"{told.name}: {told.method}{error}" + (f"; {_crossing(crossing)}" if crossing else "")


def _crossing(crossing: Crossing) -> str:
    value = f"{crossing.threshold:g}"
    if crossing.state == "already":
        return f"has reached {value}"
    if crossing.in_s is None:
        return f"does not come to {value} in the time looked ahead"
    return f"reaches {value} in {show_duration(crossing.in_s)}, at {_when(crossing)}"


def _when(crossing: Crossing) -> str:
    return "" if crossing.timestamp is None else show_time(crossing.timestamp)


def draw_all(output: Output, pictures: Sequence[Picture]) -> None:
    """Plot on a terminal; where some have anomalies, those with the most of them."""
    if not output.drawn:
        return
    ranked = sorted(pictures, key=lambda each: -len(each.marks.times))
    marked = [each for each in ranked if each.marks.times]
    chosen = (marked or ranked)[:PLOTS_DRAWN]
    width = shutil.get_terminal_size().columns
    for picture in (each for each in pictures if each in chosen):
        for line in draw(picture, min(width, MAX_WIDTH), PLOT_ROWS):
            output.line(line)
        output.line()
    rest = len(pictures) - len(chosen)
    if rest:
        output.line(f"{rest:,} more series not drawn; --column picks one.")
        output.line()
