"""Nobody waits for a cancelled answer: compute stops within 250 ms."""

import threading
import time

import numpy as np
import pytest

from sensorium.capabilities.metrics.operations import detect_anomalies, forecast
from sensorium.capabilities.metrics.schema import (
    DetectAnomaliesRequest,
    DetectionMethod,
    ForecastRequest,
)
from sensorium.core.errors import CancelledCallError, DeadlineExceededError
from sensorium.core.operation import Work
from sensorium.core.types import Series

POINTS = 3_000_000


@pytest.fixture(scope="module")
def series() -> dict[str, Series]:
    random = np.random.default_rng(0)
    values = random.normal(size=POINTS).tolist()
    return {
        "dense": Series(interval_s=0.01, values=values),
        "regular": Series(interval_s=300.0, values=values),
        "unordered": Series(timestamps=(random.random(POINTS) * 1e9).tolist(), values=values),
    }


@pytest.mark.parametrize("after_s", [0.02, 0.15])
@pytest.mark.parametrize("kind", ["dense", "regular", "unordered"])
@pytest.mark.parametrize("method", ["novelty", "sigma"])
def test_it_stops_soon_after_it_is_cancelled(
    series: dict[str, Series], method: DetectionMethod, kind: str, after_s: float
) -> None:
    context = Work()
    computing = time.pthread_getcpuclockid(threading.get_ident())
    cancelled: list[float] = []

    def cancel() -> None:
        cancelled.append(time.clock_gettime(computing))
        context.cancel()

    request = DetectAnomaliesRequest(series=[series[kind]] * 10, method=method, include_band=True)
    timer = threading.Timer(after_s, cancel)
    timer.start()
    with pytest.raises(CancelledCallError):
        detect_anomalies(request, context)
    assert time.clock_gettime(computing) - cancelled[0] < 0.25  # of computing: others may run too


def test_a_deadline_in_the_past_stops_a_forecast() -> None:
    context = Work(deadline=time.monotonic() - 1)
    with pytest.raises(DeadlineExceededError):
        forecast(ForecastRequest(series=[Series(values=[1.0, 2.0, 3.0])]), context)
