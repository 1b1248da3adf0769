"""The moving window by time against its definition."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sensorium.capabilities.metrics.bands import Bands
from sensorium.capabilities.metrics.points import Floats
from sensorium.capabilities.metrics.schema import SeriesState
from sensorium.capabilities.metrics.sigma import FEWEST_POINTS, WINDOW_S, Sigma
from sensorium.core.errors import InvalidInputError


def by_definition(times: Floats, values: Floats) -> Bands:
    expected, half_width = np.full((2, len(times)), np.nan)
    for place, time in enumerate(times):
        window = values[:place][times[:place] >= time - WINDOW_S]
        if len(window) >= FEWEST_POINTS:
            expected[place], half_width[place] = window.mean(), 2 * window.std()
    return Bands(expected, half_width)


def gaps(random: np.random.Generator, kind: str) -> Floats:
    return {
        "five minutes": np.full(1500, 300.0),
        "irregular": random.exponential(2000.0, 1500),
        "sparse": random.exponential(20_000.0, 1500),
        "bursts": random.choice([0.0, 1.0, 60.0, 200_000.0], 1500, p=[0.1, 0.5, 0.39, 0.01]),
    }[kind]


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    kind=st.sampled_from(["five minutes", "irregular", "sparse", "bursts"]),
    start=st.sampled_from([0.0, -1e6, 1.7e9]),
    offset=st.sampled_from([0.0, 1e9]),
)
def test_mean_and_deviation_are_those_of_the_window(
    seed: int, kind: str, start: float, offset: float
) -> None:
    random = np.random.default_rng(seed)
    times = start + np.cumsum(gaps(random, kind))
    values = offset + random.normal(size=len(times))
    found, right = Sigma(1.0).judge(times, values), by_definition(times, values)
    np.testing.assert_allclose(found.expected, right.expected, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(found.half_width, right.half_width, rtol=1e-6, atol=3e-3)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), kind=st.sampled_from(["irregular", "sparse", "bursts"]))
def test_chunks_change_no_bit(seed: int, kind: str) -> None:
    random = np.random.default_rng(seed)
    times = np.cumsum(gaps(random, kind))
    values = random.normal(size=len(times))
    cuts = np.sort(random.integers(0, len(times), 12))
    detector = Sigma(1.0)
    parts = [
        detector.judge(part, its)
        for part, its in zip(np.split(times, cuts), np.split(values, cuts), strict=True)
    ]
    whole = Sigma(1.0).judge(times, values)
    for field in ("expected", "half_width"):
        joined = np.concatenate([getattr(part, field) for part in parts])
        np.testing.assert_array_equal(joined, getattr(whole, field))


def test_a_huge_value_leaves_no_trace_once_it_left_the_window() -> None:
    times = 300.0 * np.arange(2000)
    values = np.random.default_rng(0).normal(size=2000)
    values[400] = 1e140
    after = slice(400 + 313, None)
    found, right = Sigma(1.0).judge(times, values), by_definition(times, values)
    np.testing.assert_allclose(found.expected[after], right.expected[after], atol=1e-12)
    np.testing.assert_allclose(found.half_width[after], right.half_width[after], rtol=1e-9)


def test_a_constant_window_has_no_width_and_a_step_away_is_outside() -> None:
    times, values = 60.0 * np.arange(500), np.full(500, 0.1)
    values[450] = 0.1001
    bands = Sigma(1.0).judge(times, values)
    outside = np.abs(values - bands.expected) > bands.half_width
    assert np.flatnonzero(outside).tolist() == [450]


def test_it_keeps_the_window_alone() -> None:
    detector = Sigma(1.0)
    for day in range(60):
        times = 86_400.0 * day + 60.0 * np.arange(1440)
        detector.judge(times, times)
        assert detector.retained <= 3 * 2 * 1560
    kept = detector.remembered()["times"]
    assert 1560 <= len(kept) <= 1561 + 1560
    assert kept[-1] - kept[0] <= WINDOW_S


@pytest.mark.parametrize(
    ("times", "values"),
    [
        ([1.0], []),
        ([2.0, 1.0], [0.0, 0.0]),
        ([float("nan")], [0.0]),
        ([1.0], [float("nan")]),
        ([1.0], [1e200]),
    ],
)
def test_a_state_that_contradicts_itself_is_refused(
    times: list[float], values: list[float]
) -> None:
    with pytest.raises(InvalidInputError, match="window"):
        Sigma(1.0).resume(SeriesState(name="x", points=2, seen=2, times=times, values=values))
