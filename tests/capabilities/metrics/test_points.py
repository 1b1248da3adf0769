"""What a series may hold, and what its arrays then are."""

import math

import numpy as np
import pytest

from sensorium.capabilities.metrics import points as module
from sensorium.capabilities.metrics.points import read_points
from sensorium.core.errors import InvalidInputError
from sensorium.core.types import Series


def unchecked() -> None:
    return None


def test_times_follow_from_the_interval() -> None:
    read = read_points(Series(interval_s=300.0, values=[1.0, 2.0]), unchecked, first=3)
    assert read.times.tolist() == [900.0, 1200.0]


def test_without_times_values_are_a_minute_apart() -> None:
    assert read_points(Series(values=[1.0, 2.0]), unchecked).times.tolist() == [0.0, 60.0]


def test_missing_values_are_left_out_and_keep_their_place() -> None:
    read = read_points(Series(values=[1.0, None, float("nan"), 4.0]), unchecked)
    assert read.values.tolist() == [1.0, 4.0]
    assert read.index.tolist() == [0, 3]
    assert (read.given, read.missing) == (4, 2)


def test_points_are_put_in_order_of_time_and_equal_times_keep_theirs() -> None:
    series = Series(timestamps=[30.0, 10.0, 20.0, 10.0], values=[3.0, 1.0, None, 1.5])
    read = read_points(series, unchecked)
    assert read.times.tolist() == [10.0, 10.0, 30.0]
    assert read.values.tolist() == [1.0, 1.5, 3.0]
    assert read.index.tolist() == [1, 3, 0]


@pytest.mark.parametrize("distinct", [1, 3, 50, 100_000])
def test_long_unordered_series_are_sorted_in_parts(
    monkeypatch: pytest.MonkeyPatch, distinct: int
) -> None:
    monkeypatch.setattr(module, "SORT_POINTS", 1000)
    times = np.random.default_rng(0).integers(0, distinct, 20_000).astype(float)
    read = read_points(Series(timestamps=times.tolist(), values=[0.0] * 20_000), unchecked)
    assert read.index.tolist() == np.argsort(times, kind="stable").tolist() or distinct == 1


def test_an_empty_series_has_no_points() -> None:
    assert len(read_points(Series(values=[]), unchecked).times) == 0
    assert len(read_points(Series(timestamps=[], values=[]), unchecked).times) == 0


@pytest.mark.parametrize(
    ("series", "message"),
    [
        (Series(timestamps=[1.0], values=[1.0, 2.0]), "1 timestamps for 2 values"),
        (Series(timestamps=[1.0], interval_s=60.0, values=[1.0]), "both"),
        (Series(timestamps=[math.nan], values=[1.0]), "epoch seconds"),
        (Series(timestamps=[math.inf], values=[1.0]), "epoch seconds"),
        (Series(timestamps=[1e13], values=[1.0]), "epoch seconds"),
        (Series(interval_s=0.0, values=[1.0]), "positive"),
        (Series(interval_s=math.nan, values=[1.0]), "positive"),
        (Series(interval_s=1e12, values=[1.0, 1.0]), "later"),
        (Series(values=[math.inf]), "within"),
        (Series(values=[1.0, -1e308]), "within"),
    ],
)
def test_what_cannot_be_read_is_refused_with_a_reason(series: Series, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        read_points(series, unchecked)
