"""Grouping accuracy on real logs, where they are at hand."""

from statistics import mean

import pytest

from benchmarks.logs_accuracy import (
    DATA,
    DEVELOPMENT,
    SYSTEMS,
    grouping_accuracy,
    load,
    load_recorded,
    ours,
)

needs_data = pytest.mark.skipif(
    not DATA.is_dir(), reason="the LogHub samples are not in ../shared/data/logs"
)


def test_grouping_accuracy_on_a_known_case() -> None:
    truth = ["a", "a", "b", "b", "c"]
    assert grouping_accuracy(truth, [1, 1, 2, 2, 3]) == (1.0, 1.0)
    accuracy, harmonic = grouping_accuracy(truth, [1, 1, 2, 3, 3])
    assert accuracy == pytest.approx(0.4)
    assert harmonic == pytest.approx(1 / 3)


@needs_data
@pytest.mark.parametrize(("place", "least"), [(0, 0.90), (1, 0.90)], ids=["content", "raw"])
def test_mean_grouping_accuracy(place: int, least: float) -> None:
    loaded = [load(system) for system in SYSTEMS]
    assert mean(grouping_accuracy(data[2], ours(data[place]))[0] for data in loaded) >= least


@pytest.mark.parametrize(("place", "least"), [(0, 0.75), (1, 0.78)], ids=["content", "raw"])
def test_mean_grouping_accuracy_on_recorded_logs(place: int, least: float) -> None:
    loaded = [load_recorded(system) for system in DEVELOPMENT]
    assert mean(grouping_accuracy(data[2], ours(data[place]))[0] for data in loaded) >= least
