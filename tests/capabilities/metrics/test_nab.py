"""The benchmark's scoring by hand, and the score that the shipped settings reach."""

import pytest

from benchmarks.forecast import cases, mase, ours
from benchmarks.nab import CORPUS, by_method, total
from benchmarks.nab_scoring import (
    LOW_FALSE_ALARMS,
    LOW_MISSES,
    STANDARD,
    LabelledSeries,
    read_corpus,
    scaled_sigmoid,
    tally,
)

shared = pytest.mark.skipif(
    not CORPUS.exists(), reason="the shared NAB series are not beside this checkout"
)


def labelled(*windows: tuple[int, int], count: int = 1000) -> LabelledSeries:
    return LabelledSeries("made", [60.0 * n for n in range(count)], [0.0] * count, list(windows))


def test_silence_is_nothing_and_an_early_alarm_in_each_window_is_all() -> None:
    series = labelled((300, 399), (600, 699))
    assert tally(series, []).score(STANDARD) == 0
    assert tally(series, [300, 600]).score(STANDARD) == pytest.approx(100)


def test_a_window_pays_once_for_its_earliest_alarm() -> None:
    series = labelled((300, 399))
    late = tally(series, [390]).score(STANDARD)
    assert 50 < late < tally(series, [310]).score(STANDARD) < 100
    assert tally(series, [310, 390]).score(STANDARD) == tally(series, [310]).score(STANDARD)


def test_an_alarm_on_the_right_edge_pays_almost_nothing_more_than_a_miss_saved() -> None:
    right = tally(labelled((300, 399)), [399])
    assert right.earned == pytest.approx(scaled_sigmoid(-0.01) / scaled_sigmoid(-1.0))


def test_false_alarms_cost_by_their_distance_from_the_window_before() -> None:
    series = labelled((300, 399))
    assert tally(series, [250]).lost == 1.0
    assert 0 < tally(series, [410]).lost < tally(series, [450]).lost < 1
    assert tally(series, [900]).lost == 1.0
    alarm = tally(series, [250])
    assert alarm.score(STANDARD) == pytest.approx(-11 / 2)
    assert alarm.score(LOW_FALSE_ALARMS) == pytest.approx(-22 / 2)
    assert alarm.score(LOW_MISSES) == pytest.approx(-11 / 3)


def test_the_first_part_of_a_file_counts_not_at_all() -> None:
    assert labelled(count=1000).probation == 150
    assert labelled(count=20_000).probation == 750
    assert tally(labelled((300, 399)), [0, 149]).alerts == 0
    assert tally(labelled((300, 399)), [150]).alerts == 1


@shared
def test_the_shipped_settings_reach_the_target_on_the_shared_half() -> None:
    corpus = read_corpus(CORPUS)
    assert total(corpus, by_method("novelty", None)).score(STANDARD) >= 60
    assert total(corpus, by_method("novelty", 0.0)).score(STANDARD) >= 60


@shared
def test_the_forecast_beats_the_founding_line() -> None:
    tasks = cases(origins=4)
    assert mase(tasks, ours("auto", tasks)) <= 0.7 * mase(tasks, ours("linear", tasks))
