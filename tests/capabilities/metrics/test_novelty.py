"""The bounded set of cells against the rule that it stands for."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sensorium.capabilities.metrics.bands import Bands
from sensorium.capabilities.metrics.novelty import (
    FEWEST_POINTS,
    MAX_CELLS,
    TOLERANCE,
    WARM_UP_POINTS,
    WIDEST_TOLERANCE,
    Novelty,
)
from sensorium.capabilities.metrics.points import Floats
from sensorium.capabilities.metrics.schema import SeriesState
from sensorium.core.errors import InvalidInputError


def judge(values: Floats, sensitivity: float = 1.0) -> Bands:
    return Novelty(sensitivity).judge(np.zeros(len(values)), values)


def outside(values: Floats, bands: Bands) -> Floats:
    return np.abs(values - bands.expected) > bands.half_width


def by_definition(values: list[float]) -> list[float]:
    """Distance to the nearest past value, over the distance tolerated; all values remembered."""
    ratios = []
    for place, value in enumerate(values):
        past = values[:place]
        if place < FEWEST_POINTS:
            ratios.append(0.0)
            continue
        tolerance = min(max(TOLERANCE, WARM_UP_POINTS / place), WIDEST_TOLERANCE)
        allowed = tolerance * (max(past) - min(past))
        nearest = min(abs(value - other) for other in past)
        ratios.append(nearest / allowed if allowed else math.inf if nearest else 0.0)
    return ratios


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    kind=st.sampled_from(["normal", "walk", "levels", "ramp", "heavy"]),
    offset=st.sampled_from([0.0, -50.0, 1e6]),
    scale=st.sampled_from([1e-3, 1.0, 1e9]),
)
def test_it_decides_as_if_it_remembered_every_value(
    seed: int, kind: str, offset: float, scale: float
) -> None:
    random = np.random.default_rng(seed)
    made = {
        "normal": random.normal(size=600),
        "walk": np.cumsum(random.normal(size=600)),
        "levels": random.integers(0, 5, 600) + (np.arange(600) == 500) * 2.5,
        "ramp": np.arange(600) + random.normal(size=600),
        "heavy": random.standard_cauchy(600),
    }[kind]
    values = (made + offset) * scale
    found = outside(values, judge(values))
    for place, ratio in enumerate(by_definition(values.tolist())):
        if abs(ratio - 1) > 0.15:  # within a cell or two of the edge, either answer will do
            assert found[place] == (ratio > 1), (place, ratio)


def test_it_remembers_a_bounded_number_of_cells() -> None:
    random = np.random.default_rng(1)
    detector = Novelty(1.0)
    for power in range(-100, 100):
        values = random.normal(size=2000) * 10.0**power
        detector.judge(np.zeros(2000), values)
        assert detector.retained <= MAX_CELLS + 1


def test_no_band_depends_on_what_comes_later() -> None:
    values = np.random.default_rng(2).normal(size=5000).cumsum()
    whole = judge(values)
    part = judge(values[:3000])
    np.testing.assert_array_equal(whole.expected[:3000], part.expected)
    np.testing.assert_array_equal(whole.half_width[:3000], part.half_width)


@pytest.mark.parametrize("constant", [0.0, 5.0, -3e-7, 1e150, 5e-324])
def test_a_constant_series_is_never_news_and_a_step_away_is(constant: float) -> None:
    values = np.full(1000, constant)
    values[700] = constant + max(abs(constant), 1e-6) * 0.5
    assert np.flatnonzero(outside(values, judge(values))).tolist() == [700]


def test_rounding_at_the_source_is_not_news() -> None:
    values = np.where(np.arange(1000) % 7 == 3, 0.1 + 0.2, 0.3)
    assert not outside(values, judge(values)).any()


def test_what_was_met_before_is_not_news_again() -> None:
    values = np.tile(np.array([1.0, 2.0, 3.0, 2.0]), 100)
    values[[100, 300]] = 50.0
    assert np.flatnonzero(outside(values, judge(values))).tolist() == [100]


def test_sensitivity_scales_the_band() -> None:
    values = np.random.default_rng(3).normal(size=3000)
    calm, keen = judge(values, 0.5), judge(values, 4.0)
    assert outside(values, calm).sum() < outside(values, keen).sum()


@pytest.mark.parametrize(
    ("cells", "seen"), [([2, 1], 5), ([1, 1], 5), ([], 3), ([1, 2, 3], 2), ([1], 0)]
)
def test_a_state_that_contradicts_itself_is_refused(cells: list[int], seen: int) -> None:
    with pytest.raises(InvalidInputError, match="cells"):
        Novelty(1.0).resume(SeriesState(name="x", points=9, seen=seen, exponent=0, cells=cells))
