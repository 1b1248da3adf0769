"""`metrics.forecast`, called as any door would call it."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sensorium.capabilities.metrics.operations import forecast
from sensorium.capabilities.metrics.points import Floats
from sensorium.capabilities.metrics.schema import Crossing, ForecastRequest, SeriesForecast
from sensorium.core.errors import InvalidInputError
from sensorium.core.operation import Work, operation_of
from sensorium.core.types import Series


def run(series: Series, **options: Any) -> SeriesForecast:
    return forecast(ForecastRequest(series=[series], **options), Work()).series[0]


def five_minutes(values: Floats, **options: Any) -> SeriesForecast:
    return run(Series(interval_s=300.0, values=values.tolist()), **options)


def heights(found: SeriesForecast) -> list[float]:
    return [point.value for point in found.points]


def crossing(found: SeriesForecast) -> Crossing:
    assert found.time_to_threshold is not None
    return found.time_to_threshold


def test_an_hour_ahead_by_default() -> None:
    found = five_minutes(np.zeros(50))
    assert len(found.points) == 12
    assert found.points[0].timestamp == 50 * 300
    assert found.points[-1].timestamp == 49 * 300 + 3600
    assert found.interval_s == 300


@pytest.mark.parametrize("count", [12, 40, 500, 3000])
@pytest.mark.parametrize("method", ["auto", "linear"])
def test_a_line_goes_on_as_a_line(method: str, count: int) -> None:
    found = five_minutes(10 + 0.5 * np.arange(count), method=method)
    assert heights(found) == pytest.approx((10 + 0.5 * np.arange(count, count + 12)).tolist())
    assert all(point.lower == pytest.approx(point.upper) for point in found.points)


def test_a_daily_rhythm_goes_on() -> None:
    values = 10 * np.sin(np.arange(288 * 5 + 12) * 2 * np.pi / 288) ** 9
    found = five_minutes(values[:-12])
    assert found.method == "season"
    assert heights(found) == pytest.approx(values[-12:].tolist(), abs=1e-6)


def test_a_level_with_outliers_goes_on_as_its_level() -> None:
    random = np.random.default_rng(0)
    values = 5 + random.normal(size=1000) * 0.1
    values[random.integers(0, 1000, 60)] = 100
    found = five_minutes(values)
    assert np.mean(heights(found)) == pytest.approx(5, abs=0.2)


def test_linear_is_least_squares_over_the_last_26_hours() -> None:
    values = np.random.default_rng(1).normal(size=2000).cumsum()
    line = np.polyfit(np.arange(312), values[-312:], 1)
    right = np.polyval(line, np.arange(312, 324))
    assert heights(five_minutes(values, method="linear")) == pytest.approx(right.tolist())


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), level=st.sampled_from([0.5, 0.8, 0.95, 0.99]))
def test_intervals_hold_about_the_share_asked_for(seed: int, level: float) -> None:
    random = np.random.default_rng(seed)
    values = random.normal(size=(30, 612))
    inside = []
    for row in values:
        found = five_minutes(row[:600], level=level)
        inside += [p.lower <= v <= p.upper for p, v in zip(found.points, row[600:], strict=True)]
    assert abs(np.mean(inside) - level) < 0.12


def test_a_wider_share_gives_wider_intervals() -> None:
    values = np.random.default_rng(2).normal(size=600).cumsum()
    narrow, wide = five_minutes(values, level=0.6), five_minutes(values, level=0.99)
    for inner, outer in zip(narrow.points, wide.points, strict=True):
        assert outer.lower < inner.lower <= inner.value <= inner.upper < outer.upper


def test_gaps_nulls_and_disorder_are_bridged() -> None:
    times = 300.0 * np.arange(600)
    values = 0.01 * times
    keep = np.random.default_rng(3).permutation(np.delete(np.arange(600), slice(200, 230)))
    mixed: list[float | None] = list(values[keep].tolist())
    mixed[5] = None
    found = run(Series(timestamps=times[keep].tolist(), values=mixed))
    assert heights(found) == pytest.approx((0.01 * (times[-1] + 300 * np.arange(1, 13))).tolist())


def test_of_points_of_one_time_the_last_counts() -> None:
    series = Series(timestamps=[0.0, 60.0, 60.0], values=[1.0, 9.0, 1.0])
    assert set(heights(run(series, horizon_s=60.0))) == {1.0}


@pytest.mark.parametrize("count", range(2, 30))
@pytest.mark.parametrize("method", ["auto", "linear"])
def test_short_series_have_forecasts_too(method: str, count: int) -> None:
    values = np.random.default_rng(count).normal(size=count)
    found = five_minutes(values, method=method)
    assert len(found.points) == 12
    for point in found.points:
        assert np.isfinite([point.lower, point.value, point.upper]).all()
        assert point.lower <= point.value <= point.upper


@pytest.mark.parametrize("interval_s", [1.0, 60.0, 3600.0, 86_400.0])
def test_any_sampling_has_steps_up_to_the_horizon(interval_s: float) -> None:
    values = np.random.default_rng(4).normal(size=3000)
    found = run(Series(interval_s=interval_s, values=values.tolist()))
    ahead = found.points[-1].timestamp - 2999 * interval_s
    assert 3600 <= ahead < 3600 + interval_s


@pytest.mark.parametrize(
    ("series", "options", "message"),
    [
        (Series(values=[]), {}, "two times"),
        (Series(values=[1.0]), {}, "two times"),
        (Series(values=[1.0, None]), {}, "two times"),
        (Series(timestamps=[5.0, 5.0], values=[1.0, 2.0]), {}, "two times"),
        (Series(interval_s=1.0, values=[1.0, 2.0]), {"horizon_s": 1e6}, "at most 10,000"),
        (Series(values=[1.0, 1e200]), {}, "within"),
    ],
)
def test_what_cannot_be_carried_on_is_refused(
    series: Series, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidInputError, match=message):
        run(series, **options)


def test_huge_values_and_gaps_stay_finite() -> None:
    series = Series(timestamps=[0.0, 1e-3, 1e12], values=[1e150, -1e150, 1e150])
    for point in run(series, horizon_s=1.0).points:
        assert np.isfinite([point.lower, point.value, point.upper]).all()


def test_no_threshold_no_answer_about_one() -> None:
    assert five_minutes(np.arange(50.0)).time_to_threshold is None


def test_a_threshold_within_the_horizon() -> None:
    found = crossing(five_minutes(np.arange(100.0), threshold=104.5))
    assert found.state == "will"
    assert found.in_s == pytest.approx(5.5 * 300)
    assert found.timestamp == pytest.approx(99 * 300 + 5.5 * 300)
    assert found.earliest_in_s == pytest.approx(5.5 * 300)


@pytest.mark.parametrize("method", ["auto", "linear"])
def test_a_threshold_beyond_the_horizon_follows_the_trend(method: str) -> None:
    noise = np.random.default_rng(5).normal(size=600)
    found = crossing(five_minutes(np.arange(600) + noise, threshold=1000.0, method=method))
    assert found.state == "will"
    assert found.in_s == pytest.approx(400 * 300, rel=0.05)
    assert found.earliest_in_s is None


def test_a_falling_series_reaches_what_is_below() -> None:
    found = crossing(five_minutes(100 - np.arange(90.0), threshold=0.0))
    assert found.in_s == pytest.approx(11 * 300)


@pytest.mark.parametrize(
    ("threshold", "side", "state"),
    [
        (2000.0, "either", "never"),  # beyond the time looked ahead
        (-50.0, "either", "never"),  # behind
        (99.0, "either", "already"),
        (50.0, "above", "already"),
        (50.0, "below", "never"),
        (150.0, "below", "already"),
        (150.0, "above", "will"),
    ],
)
def test_states_of_a_threshold(threshold: float, side: str, state: str) -> None:
    options = {"threshold_side": side, "look_ahead_s": 86_400.0}
    found = crossing(five_minutes(np.arange(100.0), threshold=threshold, **options))
    assert found.state == state
    assert (found.in_s is None) == (state == "never")
    assert (found.timestamp is None) == (state == "never")


def test_noise_alone_reaches_no_threshold() -> None:
    reached = [
        crossing(five_minutes(np.random.default_rng(seed).normal(size=600), threshold=50.0)).state
        for seed in range(20)
    ]
    assert reached == ["never"] * 20


def test_its_example_reaches_its_threshold() -> None:
    example: ForecastRequest = operation_of(forecast).example
    found = forecast(example, Work()).series[0]
    assert crossing(found).state == "will"
