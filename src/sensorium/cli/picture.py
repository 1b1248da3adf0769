"""What is to be drawn of a series: its values, the band around them, its anomalies, its future."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field

from sensorium.capabilities.metrics.schema import SeriesAnomalies, SeriesForecast
from sensorium.core.types import Series

MINUTE_S = 60.0


@dataclass(frozen=True)
class Points:
    """Points of a line: times in epoch seconds, ascending, and values."""

    times: list[float] = field(default_factory=list)
    values: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Ribbon:
    """The space between two lines over the same times."""

    times: list[float] = field(default_factory=list)
    lower: list[float] = field(default_factory=list)
    upper: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Picture:
    """One plot."""

    title: str
    line: Points
    ribbon: Ribbon
    marks: Points
    future: Points
    threshold: float | None = None

    @property
    def times(self) -> tuple[float, float]:
        """The first and the last time in it."""
        moments = [*self.line.times[:1], *self.line.times[-1:], *self.future.times[-1:]]
        return (min(moments), max(moments)) if moments else (0.0, 0.0)


def of_anomalies(series: Series, found: SeriesAnomalies) -> Picture:
    """A series with the band that was asked for, and its anomalies."""
    times = times_of(series)
    band = Ribbon()
    if found.band is not None:
        edges = zip(times, found.band.lower, found.band.upper, strict=True)
        band = _ribbon(
            sorted((t, low, up) for t, low, up in edges if low is not None and up is not None)
        )
    marks = Points([each.timestamp for each in found.anomalies], [a.value for a in found.anomalies])
    return Picture(series.name, _points(times, series.values), band, marks, Points())


def of_forecast(
    series: Series, told: SeriesForecast, threshold: float | None, history_s: float
) -> Picture:
    """The last stretch of a series and what is to come of it."""
    line = _points(times_of(series), series.values)
    since = bisect_left(line.times, line.times[-1] - history_s) if line.times else 0
    line = Points(line.times[since:], line.values[since:])
    future = Points(
        [*line.times[-1:], *(point.timestamp for point in told.points)],
        [*line.values[-1:], *(point.value for point in told.points)],
    )
    ribbon = _ribbon([(point.timestamp, point.lower, point.upper) for point in told.points])
    return Picture(series.name, line, ribbon, Points(), future, threshold)


def times_of(series: Series) -> list[float]:
    """When each value was met; see `Series`."""
    if series.timestamps is not None:
        return series.timestamps
    interval_s = series.interval_s or MINUTE_S
    return [number * interval_s for number in range(len(series.values))]


def _points(times: Sequence[float], values: Sequence[float | None]) -> Points:
    pairs = sorted((t, v) for t, v in zip(times, values, strict=True) if v is not None)
    return Points([t for t, _ in pairs], [v for _, v in pairs])


def _ribbon(rows: Sequence[tuple[float, float, float]]) -> Ribbon:
    return Ribbon([t for t, _, _ in rows], [low for _, low, _ in rows], [up for _, _, up in rows])
