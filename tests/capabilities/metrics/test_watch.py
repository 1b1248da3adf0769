"""`metrics.watch` gives the answers of `metrics.detect_anomalies`, point by point."""

import tracemalloc
from collections.abc import Iterable, Iterator
from itertools import pairwise

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sensorium.capabilities.metrics import watching
from sensorium.capabilities.metrics.operations import detect_anomalies, watch
from sensorium.capabilities.metrics.schema import (
    Anomaly,
    DetectAnomaliesRequest,
    DetectionMethod,
    WatchedAnomaly,
    WatchEvent,
    WatchInput,
    WatchRequest,
    WatchSnapshot,
)
from sensorium.core.errors import InvalidInputError
from sensorium.core.operation import Work
from sensorium.core.types import Series

Values = list[float | None]


def made(seed: int, count: int = 900) -> tuple[list[float], Values]:
    """Irregular times with duplicates and gaps; values with levels, spikes and missing ones."""
    random = np.random.default_rng(seed)
    times = np.cumsum(random.choice([0.0, 60.0, 300.0, 50_000.0], count, p=[0.1, 0.6, 0.28, 0.02]))
    values = random.normal(size=count) + 5 * (np.arange(count) > 500)
    values[random.integers(0, count, 6)] += random.normal(size=6) * 20
    listed: Values = list(values.tolist())
    for place in random.integers(0, count, 20).tolist():
        listed[place] = None
    return (1.7e9 + times).tolist(), listed


def chunks(times: list[float], values: Values, cuts: Iterable[int]) -> Iterator[Series]:
    edges = [0, *sorted(cuts), len(times)]
    for start, stop in pairwise(edges):
        yield Series(name="x", timestamps=times[start:stop], values=values[start:stop])


def watched(request: WatchRequest, inputs: Iterable[WatchInput]) -> list[WatchEvent]:
    return list(watch(request, iter(inputs), Work()))


def found(events: Iterable[WatchEvent]) -> list[Anomaly]:
    return [each.anomaly for event in events for each in event.anomalies]


def snapshot_of(events: list[WatchEvent]) -> WatchSnapshot:
    snapshot = events[-1].snapshot
    assert snapshot is not None
    return msgspec.json.decode(msgspec.json.encode(snapshot), type=WatchSnapshot)


options = st.fixed_dictionaries(
    {
        "method": st.sampled_from(["novelty", "sigma"]),
        "sensitivity": st.sampled_from([0.5, 1.0, 3.0]),
        "hold_off_s": st.sampled_from([None, 0.0, 1000.0]),
    }
)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), cuts=st.lists(st.integers(0, 900), max_size=30), how=options)
def test_it_finds_what_detect_finds_however_the_points_are_cut(
    seed: int, cuts: list[int], how: dict[str, object]
) -> None:
    times, values = made(seed)
    whole = detect_anomalies(
        DetectAnomaliesRequest(series=[Series(timestamps=times, values=values)], **how), Work()
    )
    events = watched(
        WatchRequest(**how), (WatchInput(series=[part]) for part in chunks(times, values, cuts))
    )
    assert found(events) == whole.series[0].anomalies
    assert sum(event.points for event in events) == 900
    assert sum(event.missing for event in events) == whole.series[0].missing


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), cut=st.integers(0, 900), how=options)
def test_a_snapshot_resumed_goes_on_as_if_never_stopped(
    seed: int, cut: int, how: dict[str, object]
) -> None:
    times, values = made(seed)
    first, second = (WatchInput(series=[part]) for part in chunks(times, values, [cut]))
    straight = watched(WatchRequest(**how), [first, second])
    begun = watched(WatchRequest(**how), [first])
    resumed = watched(WatchRequest(**how, resume=snapshot_of(begun)), [second])
    assert found(begun) + found(resumed) == found(straight)
    assert snapshot_of(resumed) == snapshot_of(straight)


@pytest.mark.parametrize("method", ["novelty", "sigma"])
def test_one_point_at_a_time_and_without_timestamps(method: DetectionMethod) -> None:
    values: Values = [*np.random.default_rng(5).uniform(0, 1, 200).tolist(), 9.0, 0.5]
    series = Series(interval_s=300.0, values=values)
    whole = detect_anomalies(DetectAnomaliesRequest(series=[series], method=method), Work())
    single = (WatchInput(series=[Series(interval_s=300.0, values=[value])]) for value in values)
    assert found(watched(WatchRequest(method=method), single)) == whole.series[0].anomalies


def test_each_input_gets_one_event_and_the_end_a_snapshot() -> None:
    inputs = [
        WatchInput(series=[Series(name="x", values=[1.0, None])]),
        WatchInput(snapshot=True),
        WatchInput(),
    ]
    events = watched(WatchRequest(), inputs)
    assert [(event.points, event.missing, event.snapshot is None) for event in events] == [
        (2, 1, True),
        (0, 0, False),
        (0, 0, True),
        (0, 0, False),
    ]


def test_points_older_than_the_newest_are_counted_and_left_out() -> None:
    inputs = [
        WatchInput(series=[Series(timestamps=[100.0, 200.0], values=[1.0, 1.0])]),
        WatchInput(series=[Series(timestamps=[150.0, 200.0, 99.0], values=[7.0, 1.0, 7.0])]),
    ]
    events = watched(WatchRequest(), inputs)
    assert [event.late for event in events] == [0, 2, 0]
    state = snapshot_of(events).series[0]
    assert (state.points, state.seen, state.last_timestamp) == (5, 3, 200.0)


def test_series_are_followed_apart_by_name() -> None:
    level = {"low": 0.0, "high": 1000.0}
    inputs = [
        WatchInput(
            series=[
                Series(name=name, values=[base + 0.01 * (step % 7)]) for name, base in level.items()
            ]
        )
        for step in range(300)
    ]
    jump = WatchInput(series=[Series(name="low", values=[1000.0])])
    (event,) = [each for each in watched(WatchRequest(), [*inputs, jump]) if each.anomalies]
    assert [(each.name, each.anomaly.index) for each in event.anomalies] == [("low", 300)]
    assert isinstance(event.anomalies[0], WatchedAnomaly)


def test_more_series_than_allowed_are_refused() -> None:
    many = WatchInput(series=[Series(name=str(number), values=[1.0]) for number in range(3)])
    with pytest.raises(InvalidInputError, match="More than 2 series"):
        watched(WatchRequest(max_series=2), [many])


def test_windows_larger_than_memory_allows_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "MAX_RETAINED", 1000)
    dense = WatchInput(series=[Series(interval_s=1.0, values=[1.0] * 2000)])
    with pytest.raises(InvalidInputError, match="windows"):
        watched(WatchRequest(method="sigma"), [dense])


def test_a_snapshot_that_does_not_fit_is_refused() -> None:
    begun = watched(WatchRequest(), [WatchInput(series=[Series(values=[1.0])])])
    snapshot = snapshot_of(begun)
    with pytest.raises(InvalidInputError, match="method"):
        watched(WatchRequest(method="sigma", resume=snapshot), [])
    twice = msgspec.structs.replace(snapshot, series=snapshot.series * 2)
    with pytest.raises(InvalidInputError, match="twice"):
        watched(WatchRequest(resume=twice), [])


@pytest.mark.parametrize("method", ["novelty", "sigma"])
def test_memory_stays_flat(method: DetectionMethod) -> None:
    random = np.random.default_rng(6)

    def stream(sizes: list[int]) -> Iterator[WatchInput]:
        for number in range(300):
            values = np.cumsum(random.normal(size=1000)) * (1 + number)
            if number % 100 == 50:
                sizes.append(tracemalloc.get_traced_memory()[0])
            yield WatchInput(series=[Series(interval_s=300.0, values=values.tolist())])

    sizes: list[int] = []
    tracemalloc.start()
    try:
        for _ in watch(WatchRequest(method=method), stream(sizes), Work()):
            pass
    finally:
        tracemalloc.stop()
    assert max(sizes[1:]) < sizes[0] + 400_000
