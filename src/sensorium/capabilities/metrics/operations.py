"""The metrics operations: judging points, watching them come, and carrying a series on."""

from collections.abc import Iterator

from sensorium.capabilities.metrics.schema import (
    DetectAnomaliesRequest,
    DetectAnomaliesResponse,
    ForecastRequest,
    ForecastResponse,
    WatchEvent,
    WatchInput,
    WatchRequest,
)
from sensorium.core.loading import load
from sensorium.core.operation import Execution, WorkContext, operation
from sensorium.core.types import Series

PACKAGE = "sensorium.capabilities.metrics"
_SPIKE = Series(
    name="cpu",
    interval_s=300.0,
    values=[21.0, 22.5, 20.8, 21.7, 22.1, 21.2, 20.9, 22.0, 93.0, 21.5],
)
_CLIMB = Series(
    name="disk_used_percent",
    interval_s=300.0,
    values=[70.0 + 0.5 * step for step in range(24)],
)


@operation(
    "metrics.detect_anomalies",
    execution=Execution.PROCESS,
    example=DetectAnomaliesRequest(series=[_SPIKE]),
)
def detect_anomalies(
    request: DetectAnomaliesRequest, context: WorkContext
) -> DetectAnomaliesResponse:
    """Points that left their expected band.

    Every method is causal: a point's band follows from the points before it alone. Points are
    judged in order of time; those of one time in the order given; null values are passed over.

    Raises:
        InvalidInputError: see `points.read_points`.
    """
    response: DetectAnomaliesResponse = load(f"{PACKAGE}.detection:detect_anomalies")(
        request, context
    )
    return response


@operation(
    "metrics.watch",
    execution=Execution.PROCESS,
    example=WatchRequest(),
    incoming_example=(WatchInput(series=[_SPIKE]), WatchInput(snapshot=True)),
)
def watch(
    request: WatchRequest, incoming: Iterator[WatchInput], context: WorkContext
) -> Iterator[WatchEvent]:
    """Points that left their expected band, as the points come.

    The same answers as `metrics.detect_anomalies` gives on all points at once, however they are
    cut into inputs. One event per input, and a last one with a snapshot that a later watch
    resumes. Memory is bounded per series, whatever comes.

    Raises:
        InvalidInputError: as `metrics.detect_anomalies`; more series than `max_series`; more
            points within windows than are kept; a snapshot that contradicts itself or is of
            another method.
    """
    yield from load(f"{PACKAGE}.watching:watch")(request, incoming, context)


@operation(
    "metrics.forecast",
    execution=Execution.PROCESS,
    example=ForecastRequest(series=[_CLIMB], threshold=90.0),
)
def forecast(request: ForecastRequest, context: WorkContext) -> ForecastResponse:
    """How a metric goes on, with intervals, and when it reaches a threshold.

    Raises:
        InvalidInputError: see `points.read_points`; a series without two values; a horizon of
            more than 10,000 steps.
    """
    response: ForecastResponse = load(f"{PACKAGE}.forecasting:forecast")(request, context)
    return response
