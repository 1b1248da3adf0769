"""How series go on: the engine of `metrics.forecast`."""

import math
from dataclasses import dataclass

import numpy as np

from sensorium.capabilities.metrics.backtest import Outlook, look_ahead
from sensorium.capabilities.metrics.forecasters import Scale
from sensorium.capabilities.metrics.points import Check, Floats, Points, read_points
from sensorium.capabilities.metrics.schema import (
    Crossing,
    ForecastPoint,
    ForecastRequest,
    ForecastResponse,
    SeriesForecast,
)
from sensorium.capabilities.metrics.thresholds import Path, crossing, resistant_slope
from sensorium.core.errors import InvalidInputError
from sensorium.core.operation import WorkContext
from sensorium.core.types import Series

MAX_STEPS = 10_000
HISTORY_STEPS = 200_000
"""The past beyond is not looked at: two days by the second."""

REPORTS = 100
"""How often progress is reported, at about the most."""


@dataclass(frozen=True)
class Grid:
    """A series at regular times, the last of which is `end_s`; `values` has shape (n,), n >= 2."""

    interval_s: float
    end_s: float
    values: Floats


def forecast(request: ForecastRequest, context: WorkContext) -> ForecastResponse:
    """See `operations.forecast`."""
    results = []
    step = max(len(request.series) // REPORTS, 1)
    for number, series in enumerate(request.series, 1):
        results.append(_forecast(series, request, context.check))
        if number % step == 0:
            context.progress(number, len(request.series), "series")
    return ForecastResponse(series=results)


def _forecast(series: Series, request: ForecastRequest, check: Check) -> SeriesForecast:
    grid = _grid(read_points(series, check), series)
    steps = math.ceil(request.horizon_s / grid.interval_s - 1e-9)
    if steps > MAX_STEPS:
        raise InvalidInputError(
            f"horizon_s is {steps:,} steps of {grid.interval_s:g} s ahead for series "
            f"{series.name!r}; at most {MAX_STEPS:,} are made.",
            details={"series": series.name, "steps": steps, "limit": MAX_STEPS},
        )
    scale = Scale.of(grid.interval_s, max(steps, 1))
    outlook = look_ahead(grid.values, scale, request.method, request.level, check)
    times = grid.end_s + grid.interval_s * np.arange(1, scale.steps + 1)
    rows = zip(
        times.tolist(),
        outlook.values.tolist(),
        (outlook.values - outlook.half_width).tolist(),
        (outlook.values + outlook.half_width).tolist(),
        strict=True,
    )
    return SeriesForecast(
        name=series.name,
        method=outlook.method,
        interval_s=grid.interval_s,
        points=[
            ForecastPoint(timestamp=time, value=value, lower=lower, upper=upper)
            for time, value, lower, upper in rows
        ],
        backtest_error=outlook.error,
        time_to_threshold=_crossing(grid, scale, outlook, request),
    )


def _grid(points: Points, series: Series) -> Grid:
    """The points at regular times: gaps are bridged by lines, of points of one time the last stays.

    Raises:
        InvalidInputError: the series has no two values at different times.
    """
    newest = np.append(points.times[1:] > points.times[:-1], True)[: len(points.times)]
    times, values = points.times[newest], points.values[newest]
    if len(times) < 2:
        raise InvalidInputError(
            f"Series {series.name!r} needs values at two times at least to be carried on.",
            details={"series": series.name},
        )
    interval_s = series.interval_s or float(np.median(np.diff(times)))
    end_s = float(times[-1])
    steps = min(int((end_s - float(times[0])) / interval_s + 1e-9), HISTORY_STEPS - 1)
    wanted = end_s - interval_s * np.arange(max(steps, 1), -1, -1)
    return Grid(interval_s, end_s, np.interp(wanted, times, values))


def _crossing(
    grid: Grid, scale: Scale, outlook: Outlook, request: ForecastRequest
) -> Crossing | None:
    if request.threshold is None:
        return None
    if outlook.method == "linear" and scale.steps > 1:
        slope = float(outlook.values[1] - outlook.values[0])
    else:
        slope = resistant_slope(grid.values[-scale.line :])
    path = Path(
        interval_s=grid.interval_s,
        end_s=grid.end_s,
        now=float(grid.values[-1]),
        ahead=outlook.values,
        lower=outlook.values - outlook.half_width,
        upper=outlook.values + outlook.half_width,
        slope=slope,
    )
    return crossing(path, request.threshold, request.threshold_side, request.look_ahead_s)
