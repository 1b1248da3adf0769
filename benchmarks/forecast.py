"""The forecast an hour ahead, against the founding line and statsforecast's AutoETS.

Corpus: the shared NAB series sampled every five minutes, made-up ones left out, times regularised;
from each, origins evenly spread over its last 60 %. MASE is the mean absolute error over the
history's mean absolute step; the mean over a series' origins, then over series. AutoETS sees the
last 576 points (two days), without season, as whole histories take it seconds a piece.
"""

import json
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.nab_scoring import LabelledSeries, read_corpus
from benchmarks.report import Row, show
from sensorium.capabilities.metrics.operations import forecast
from sensorium.capabilities.metrics.schema import ForecastMethod, ForecastRequest
from sensorium.core.operation import Work
from sensorium.core.types import Series

ROOT = Path(__file__).parents[1]
CORPUS = ROOT.parent / "shared" / "data" / "metrics" / "nab"
PEER = ROOT / ".bench" / "peers" / "bin" / "python"
PEER_POINTS = 576
INTERVAL_S = 300.0
STEPS = 12
ORIGINS = 10
LEVEL = 95


@dataclass(frozen=True)
class Case:
    """One origin of one series."""

    series: int
    history: list[float]
    actual: np.ndarray


@dataclass(frozen=True)
class Answer:
    """One forecast, arrays of shape (steps,)."""

    mean: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    seconds: float


def cases(origins: int = ORIGINS) -> list[Case]:
    """The forecasts to make."""
    found = []
    for number, values in enumerate(filter(None, map(_regular, read_corpus(CORPUS)))):
        places = np.linspace(0.4 * len(values), len(values) - STEPS, origins).astype(int)
        for place in places.tolist():
            actual = np.array(values[place : place + STEPS])
            found.append(Case(number, values[:place], actual))
    return found


def ours(method: ForecastMethod, tasks: list[Case]) -> list[Answer]:
    """The operation's answers."""
    answers = []
    for case in tasks:
        series = Series(interval_s=INTERVAL_S, values=list(case.history))
        request = ForecastRequest(series=[series], method=method, level=LEVEL / 100)
        start = time.perf_counter()
        points = forecast(request, Work()).series[0].points
        seconds = time.perf_counter() - start
        rows = np.array([(point.value, point.lower, point.upper) for point in points]).T
        answers.append(Answer(rows[0], rows[1], rows[2], seconds))
    return answers


def auto_ets(tasks: list[Case]) -> list[Answer]:
    """The peer's answers; none where its environment is not installed."""
    if not PEER.exists():
        return []
    asked = [{"history": case.history[-PEER_POINTS:], "steps": STEPS} for case in tasks]
    script = ROOT / "benchmarks" / "peers" / "statsforecast_run.py"
    done = subprocess.run(
        [str(PEER), str(script)],
        input=json.dumps({"level": LEVEL, "cases": asked}),
        capture_output=True,
        text=True,
        check=True,
    )
    return [
        Answer(*(np.array(row[key]) for key in ("mean", "lower", "upper")), row["seconds"])
        for row in json.loads(done.stdout)
    ]


def mase(tasks: list[Case], answers: list[Answer], part: slice = slice(None)) -> float:
    """Mean over series (those of `part`) of the mean over origins."""
    by_series: dict[int, list[float]] = {}
    for case, answer in zip(tasks, answers, strict=True):
        step = float(np.mean(np.abs(np.diff(case.history))))
        error = float(np.mean(np.abs(answer.mean - case.actual)))
        by_series.setdefault(case.series, []).append(error / step)
    return float(np.mean([np.mean(scores) for scores in list(by_series.values())[part]]))


def coverage(tasks: list[Case], answers: list[Answer]) -> float:
    """Share of values inside their intervals."""
    inside = [
        (case.actual >= answer.lower) & (case.actual <= answer.upper)
        for case, answer in zip(tasks, answers, strict=True)
    ]
    return float(np.mean(inside))


def measure() -> list[Row]:
    """All rows."""
    tasks = cases()
    count = f"{len({case.series for case in tasks})} series, {len(tasks)} origins"
    auto, line, peer = ours("auto", tasks), ours("linear", tasks), auto_ets(tasks)
    error, founding = mase(tasks, auto), mase(tasks, line)
    covered = coverage(tasks, auto)
    cost = 1e3 * float(np.median([answer.seconds for answer in auto]))
    worst = 1e3 * max(answer.seconds for answer in auto)
    halves = [mase(tasks, auto, slice(first, None, 2)) for first in (0, 1)]
    rows = [
        Row(
            "forecast 1 h: MASE, auto",
            error,
            "",
            note=f"{count}; halves {halves[0]:.3f} / {halves[1]:.3f}",
        ),
        Row("forecast 1 h: MASE, linear (founding)", founding, ""),
        Row(
            "forecast 1 h: auto over linear",
            error / founding,
            "x",
            "<= 0.7",
            error <= 0.7 * founding,
        ),
        Row(
            "forecast 1 h: 95 % intervals hold",
            100 * covered,
            "%",
            "92-98",
            0.92 <= covered <= 0.98,
            note=f"linear {100 * coverage(tasks, line):.1f} %",
        ),
        Row(
            "forecast 1 h: time a series",
            cost,
            "ms",
            "<= 5",
            cost <= 5,
            note=f"median; worst {worst:.1f} ms",
        ),
    ]
    if peer:
        theirs = mase(tasks, peer)
        their_cost = 1e3 * float(np.median([answer.seconds for answer in peer]))
        rows.append(
            Row(
                "forecast 1 h: auto over AutoETS",
                error / theirs,
                "x",
                "<= 0.9",
                error <= 0.9 * theirs,
                peer=f"statsforecast AutoETS: MASE {theirs:.3f}, {their_cost:.0f} ms, holds "
                f"{100 * coverage(tasks, peer):.1f} %",
            )
        )
    return rows


def _regular(series: LabelledSeries) -> list[float] | None:
    """The values on a five-minute grid; None for another sampling or a made-up series."""
    times = np.array(series.timestamps)
    if np.median(np.diff(times)) != INTERVAL_S or series.name.startswith("artificial"):
        return None
    grid = np.arange(times[0], times[-1] + 1, INTERVAL_S)
    distinct, first = np.unique(times, return_index=True)
    values: list[float] = np.interp(grid, distinct, np.array(series.values)[first]).tolist()
    return values


if __name__ == "__main__":
    show(measure())
