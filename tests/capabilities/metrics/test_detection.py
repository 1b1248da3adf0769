"""`metrics.detect_anomalies`, called as any door would call it."""

import math
from typing import Any

import msgspec
import numpy as np
import pytest

from sensorium.capabilities.metrics.operations import detect_anomalies
from sensorium.capabilities.metrics.schema import (
    DetectAnomaliesRequest,
    DetectAnomaliesResponse,
    DetectionMethod,
    SeriesAnomalies,
)
from sensorium.core.errors import InvalidInputError
from sensorium.core.operation import Work, operation_of
from sensorium.core.types import Series

METHODS: list[DetectionMethod] = ["novelty", "sigma"]
both = pytest.mark.parametrize("method", METHODS)


def steady(count: int = 400) -> list[float | None]:
    values = 50.0 + np.random.default_rng(0).uniform(-1, 1, count)
    return list(values.tolist())


def run(series: Series, context: Work, **options: Any) -> SeriesAnomalies:
    request = DetectAnomaliesRequest(series=[series], **options)
    return detect_anomalies(request, context).series[0]


def places(result: SeriesAnomalies) -> list[int]:
    return [anomaly.index for anomaly in result.anomalies]


@both
def test_a_spike_and_a_drop_are_found_with_band_and_direction(
    context: Work, method: DetectionMethod
) -> None:
    values = steady()
    values[200], values[300] = 90.0, 10.0
    found = run(Series(name="cpu", interval_s=300.0, values=values), context, method=method)
    assert {200, 300} <= set(places(found))
    spike = next(anomaly for anomaly in found.anomalies if anomaly.index == 200)
    drop = next(anomaly for anomaly in found.anomalies if anomaly.index == 300)
    assert (spike.direction, drop.direction) == ("above", "below")
    assert spike.timestamp == 60_000.0
    assert spike.value == 90.0
    assert spike.lower < spike.expected < spike.upper < spike.value
    assert spike.score == pytest.approx((90 - spike.expected) / (spike.upper - spike.expected))
    assert (found.name, found.method, found.missing) == ("cpu", method, 0)


@both
def test_every_anomaly_and_no_other_point_lies_outside_the_band(
    context: Work, method: DetectionMethod
) -> None:
    values = [*steady(), None, 90.0, *steady()]
    found = run(Series(values=values), context, method=method, include_band=True, hold_off_s=0.0)
    band = found.band
    assert band is not None
    outside = [
        place
        for place, (value, low, high) in enumerate(zip(values, band.lower, band.upper, strict=True))
        if value is not None and low is not None and high is not None
        if not low <= value <= high
    ]
    assert places(found) == outside
    assert 401 in outside
    assert band.expected[400] is None
    assert found.judged == sum(edge is not None for edge in band.lower)
    assert found.missing == 1


@both
def test_order_of_input_does_not_matter(context: Work, method: DetectionMethod) -> None:
    values = steady()
    values[200] = 90.0
    times = (300.0 * np.arange(400)).tolist()
    shuffle = np.random.default_rng(1).permutation(400).tolist()
    mixed = Series(
        timestamps=[times[place] for place in shuffle],
        values=[values[place] for place in shuffle],
    )
    sorted_one = run(Series(timestamps=times, values=values), context, method=method)
    mixed_one = run(mixed, context, method=method)
    assert [a.timestamp for a in sorted_one.anomalies] == [a.timestamp for a in mixed_one.anomalies]
    assert [shuffle[place] for place in places(mixed_one)] == places(sorted_one)


@both
@pytest.mark.parametrize(
    "values",
    [
        [],
        [None],
        [None] * 50,
        [3.0],
        [0.0] * 500,
        [1e150, -1e150] * 200,
        [5e-324, 0.0] * 100,
    ],
    ids=["empty", "null", "nulls", "one", "zeros", "huge", "tiny"],
)
def test_degenerate_series_have_no_anomalies(
    context: Work, method: DetectionMethod, values: list[float | None]
) -> None:
    found = run(Series(values=values), context, method=method, include_band=True)
    assert found.anomalies == []
    assert found.band is not None
    assert len(found.band.expected) == len(values)
    msgspec.json.encode(found)


@both
def test_points_of_one_time_are_judged_one_after_another(
    context: Work, method: DetectionMethod
) -> None:
    values = steady(100)
    values[60] = 90.0
    found = run(Series(timestamps=[1e9] * 100, values=values), context, method=method)
    assert 60 in places(found)


@both
def test_values_beyond_squaring_are_refused(context: Work, method: DetectionMethod) -> None:
    with pytest.raises(InvalidInputError, match="within"):
        run(Series(values=[1.0, 1e308]), context, method=method)


def test_a_gap_empties_the_window_of_sigma(context: Work) -> None:
    times = [*(60.0 * np.arange(100)).tolist(), 1e6, 1e6 + 60]
    values = [*steady(100), 90.0, 90.0]
    assert 100 not in places(run(Series(timestamps=times, values=values), context, method="sigma"))


def test_hold_off_keeps_quiet_for_its_time_alone(context: Work) -> None:
    values = steady()
    for place, value in ((200, 60.0), (205, 70.0), (215, 80.0)):
        values[place] = value
    series = Series(interval_s=60.0, values=values)
    assert places(run(series, context, hold_off_s=0.0)) == [200, 205, 215]
    assert places(run(series, context, hold_off_s=300.0)) == [200, 205, 215]
    assert places(run(series, context, hold_off_s=301.0)) == [200, 215]
    assert places(run(series, context, hold_off_s=3600.0)) == [200]


def test_by_default_an_event_is_reported_once_unless_it_gets_much_worse(context: Work) -> None:
    values = steady()
    values[200:204] = [60.0, 61.0, 62.5, 90.0]
    assert places(run(Series(values=values), context, hold_off_s=0.0)) == [200, 201, 202, 203]
    assert places(run(Series(values=values), context)) == [200, 203]


@both
def test_sensitivity_makes_more_or_fewer(context: Work, method: DetectionMethod) -> None:
    values = np.random.default_rng(4).normal(size=3000).tolist()
    counts = [
        len(places(run(Series(values=values), context, method=method, sensitivity=s)))
        for s in (0.5, 1.0, 4.0)
    ]
    assert counts == sorted(counts)
    assert counts[0] < counts[2]


def test_series_are_judged_apart_and_answered_in_order(context: Work) -> None:
    spiked = steady()
    spiked[200] = 90.0
    request = DetectAnomaliesRequest(
        series=[Series(name="a", values=steady()), Series(name="b", values=spiked)]
    )
    response = detect_anomalies(request, context)
    assert [result.name for result in response.series] == ["a", "b"]
    assert [places(result) for result in response.series] == [[], [200]]


def test_its_example_has_an_anomaly(context: Work) -> None:
    example = operation_of(detect_anomalies).example
    response: DetectAnomaliesResponse = detect_anomalies(example, context)
    assert places(response.series[0]) == [8]


@both
def test_answers_are_finite_numbers(context: Work, method: DetectionMethod) -> None:
    values: list[float | None] = [*([0.0] * 50), 1e150, *([0.0] * 50), -1e-300]
    found = run(Series(values=values), context, method=method, hold_off_s=0.0)
    assert found.anomalies
    for anomaly in found.anomalies:
        assert all(
            math.isfinite(number)
            for number in (anomaly.expected, anomaly.lower, anomaly.upper, anomaly.score)
        )
