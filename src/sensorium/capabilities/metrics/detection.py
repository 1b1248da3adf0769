"""Anomalies in series that are given whole: the engine of `metrics.detect_anomalies`."""

import numpy as np

from sensorium.capabilities.metrics.bands import Bands
from sensorium.capabilities.metrics.points import BLOCK_POINTS, Check, Floats
from sensorium.capabilities.metrics.schema import (
    Band,
    DetectAnomaliesRequest,
    DetectAnomaliesResponse,
    SeriesAnomalies,
)
from sensorium.capabilities.metrics.tracking import Tracker
from sensorium.core.operation import WorkContext
from sensorium.core.types import Series

REPORTS = 100
"""How often progress is reported, at about the most."""


def detect_anomalies(
    request: DetectAnomaliesRequest, context: WorkContext
) -> DetectAnomaliesResponse:
    """See `operations.detect_anomalies`."""
    results = []
    step = max(len(request.series) // REPORTS, 1)
    for number, series in enumerate(request.series, 1):
        results.append(_detect(series, request, context.check))
        if number % step == 0:
            context.progress(number, len(request.series), "series")
    return DetectAnomaliesResponse(series=results)


def _detect(series: Series, request: DetectAnomaliesRequest, check: Check) -> SeriesAnomalies:
    tracker = Tracker(series.name, request.method, request.sensitivity, request.hold_off_s)
    received = tracker.receive(series, check, keep_bands=request.include_band)
    return SeriesAnomalies(
        name=series.name,
        method=request.method,
        anomalies=received.anomalies,
        judged=received.judged,
        missing=received.missing,
        band=None if received.bands is None else _band(received.bands, check),
    )


def _band(bands: Bands, check: Check) -> Band:
    return Band(
        expected=_nullable(np.where(np.isnan(bands.half_width), np.nan, bands.expected), check),
        lower=_nullable(bands.expected - bands.half_width, check),
        upper=_nullable(bands.expected + bands.half_width, check),
    )


def _nullable(numbers: Floats, check: Check) -> list[float | None]:
    result: list[float | None] = []
    for start in range(0, len(numbers), BLOCK_POINTS):
        check()
        block = numbers[start : start + BLOCK_POINTS]
        result += [None if number != number else number for number in block.tolist()]
    return result
