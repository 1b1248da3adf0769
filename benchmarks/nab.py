"""Anomaly detection on the shared half of the Numenta Anomaly Benchmark.

Every detector runs with the settings that it ships with: no threshold is fitted here, and NAB's
own look-ahead (each file's minimum and maximum) is not used. Rank in NAB and quality of alerts
disagree, so precision, recall and the number of alerts stand beside each score, with the
default hold-off, with none, and with twelve hours. The floors show what empty rules earn.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.nab_scoring import (
    LOW_FALSE_ALARMS,
    LOW_MISSES,
    STANDARD,
    LabelledSeries,
    Tally,
    read_corpus,
    tally,
)
from benchmarks.report import Row, show
from sensorium.capabilities.metrics.operations import detect_anomalies
from sensorium.capabilities.metrics.schema import DetectAnomaliesRequest, DetectionMethod
from sensorium.core.operation import Work
from sensorium.core.types import Series

CORPUS = Path(__file__).parents[2] / "shared" / "data" / "metrics" / "nab"
TARGET = 60.0
HALF_A_DAY_S = 43_200.0
PUBLISHED = "published on all 58 files: HTM-java 65.5, Skyline 58.2, Windowed Gaussian 39.6"

Rule = Callable[[LabelledSeries], list[int]]


def by_method(method: DetectionMethod, hold_off_s: float | None) -> Rule:
    """The operation with its own settings and a hold-off."""

    def detections(series: LabelledSeries) -> list[int]:
        given = Series(timestamps=series.timestamps, values=list(series.values))
        request = DetectAnomaliesRequest(series=[given], method=method, hold_off_s=hold_off_s)
        found = detect_anomalies(request, Work()).series[0].anomalies
        return [anomaly.index for anomaly in found]

    return detections


def evenly_spaced(series: LabelledSeries) -> list[int]:
    """Alerts at every twentieth of the file, whatever is in it."""
    return np.linspace(0, len(series.values) - 1, 21).astype(int).tolist()


def total(corpus: list[LabelledSeries], rule: Rule) -> Tally:
    """One rule over some files."""
    return sum((tally(series, rule(series)) for series in corpus), start=Tally())


def row(what: str, tallied: Tally, *, judged: bool = False, note: str = "") -> Row:
    """A rule's line in the table."""
    score = tallied.score(STANDARD)
    alerts = (
        f"low FP {tallied.score(LOW_FALSE_ALARMS):.1f}, low FN {tallied.score(LOW_MISSES):.1f}; "
        f"{tallied.alerts} alerts, {tallied.false_alarms} outside all windows; "
        f"precision {tallied.precision:.2f}, recall {tallied.recall:.2f}"
    )
    return Row(
        what,
        score,
        "",
        target=f">= {TARGET:g}" if judged else "",
        met=score >= TARGET if judged else None,
        peer=PUBLISHED if judged else "",
        note=f"{alerts}; {note}" if note else alerts,
    )


def measure() -> list[Row]:
    """All rows."""
    corpus = read_corpus(CORPUS)
    default = by_method("novelty", None)
    halves = [total(corpus[first::2], default).score(STANDARD) for first in (0, 1)]
    points = sum(len(series.values) for series in corpus)
    size = f"{len(corpus)} files, {points:,} points; halves {halves[0]:.1f} / {halves[1]:.1f}"
    return [
        row("NAB standard, novelty, defaults", total(corpus, default), judged=True, note=size),
        row("NAB standard, novelty, no hold-off", total(corpus, by_method("novelty", 0.0))),
        row("NAB standard, novelty, 12 h", total(corpus, by_method("novelty", HALF_A_DAY_S))),
        row("NAB standard, sigma (founding)", total(corpus, by_method("sigma", None))),
        row("NAB standard, sigma, 12 h", total(corpus, by_method("sigma", HALF_A_DAY_S))),
        row("NAB floor: alerts evenly spaced", total(corpus, evenly_spaced)),
    ]


if __name__ == "__main__":
    show(measure())
