"""What the demonstration asks of the metrics operations, and what must come back.

The sample's provenance says when each incident was induced and in which columns it shows. A copy
with its values in another order must not pass, and that is tried each time.
"""

import random
import tomllib
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from sensorium.capabilities.metrics.schema import SeriesAnomalies, WatchInput
from sensorium.cli.demo_told import SAMPLES, Own, Told, sample_series
from sensorium.cli.numbers import show_duration
from sensorium.client import Sensorium
from sensorium.core.types import Series

Moments = list[tuple[str, float]]
"""Series and time of each anomaly."""
PROMPT_S = 10.0
"""So soon after its beginning an incident must be found."""
BATCH = 60
LEARNT_S, REACHED_S = 600, 900
"""The forecast is told so many seconds, and asked when what was then reached will be."""
REQUESTS = 21_716
"""How many there were by then, counted in the sample."""
TOLERANCE = 0.1


def detect(client: Sensorium, own: Own) -> Told:
    """`metrics.detect_anomalies`: each induced incident, soon after it began."""
    series = own.series() if own.metrics else sample_series()
    told = Told(_shown(own, series))
    with told.timed():
        answer = client.metrics.detect_anomalies(series=series)
    _expect_anomalies(told, series, answer.series)
    count = sum(len(each.anomalies) for each in answer.series)
    told.answer = f"{count:,} anomalies"
    if own.metrics:
        return told
    _expect_incidents(told, _moments(answer.series))
    shuffled = client.metrics.detect_anomalies(series=[_shuffled(each) for each in series])
    told.expect(
        len(_found(_moments(shuffled.series))) < len(_incidents()),
        "a shuffled copy shows the same incidents",
    )
    return told


def _shown(own: Own, series: Sequence[Series]) -> str:
    count = sum(len(each.values) for each in series)
    name = Path(own.metrics).name if own.metrics else "metrics.csv"
    return f"{name}, {len(series)} series, {count:,} values"


def _expect_anomalies(
    told: Told, series: Sequence[Series], found: Sequence[SeriesAnomalies]
) -> None:
    told.expect([each.name for each in found] == [each.name for each in series], "a series is lost")
    for given, result in zip(series, found, strict=False):
        told.expect(bool(given.values), f"{given.name} has no values")
        told.expect(
            all(
                given.values[each.index] == each.value
                and not each.lower <= each.value <= each.upper
                for each in result.anomalies
            ),
            f"{given.name}: an anomaly is not where it is said to be, or within its band",
        )


def _incidents() -> list[dict[str, Any]]:
    stated = tomllib.loads((SAMPLES / "provenance.toml").read_text("utf-8"))
    incidents: list[dict[str, Any]] = stated["incident"]
    return incidents


def _expect_incidents(told: Told, moments: Moments) -> None:
    found, induced = _found(moments), [each["name"] for each in _incidents()]
    told.answer += f"; {len(found)} of {len(induced)} incidents within {PROMPT_S:.0f} s"
    told.expect(found == induced, f"of the incidents it found only: {', '.join(found) or 'none'}")


def _found(moments: Moments) -> list[str]:
    """The incidents that an anomaly in one of their columns tells of, soon after they began."""
    return [
        incident["name"]
        for incident in _incidents()
        if any(
            name in incident["shows_in"]
            and incident["begin"] <= moment <= incident["begin"] + PROMPT_S
            for name, moment in moments
        )
    ]


def _moments(results: Sequence[SeriesAnomalies]) -> Moments:
    return [(result.name, each.timestamp) for result in results for each in result.anomalies]


def _shuffled(series: Series) -> Series:
    values = list(series.values)
    random.Random(series.name).shuffle(values)
    return replace(series, values=values)


def watch(client: Sensorium, own: Own) -> Told:
    """`metrics.watch`: point by point the same anomalies as on all points at once."""
    series = own.series() if own.metrics else sample_series()
    told = Told(f"the same, {BATCH} values at a time")
    with told.timed():
        events = list(client.metrics.watch(_batches(series)))
    met = sorted(
        (each.name, each.anomaly.index, each.anomaly.value)
        for event in events
        for each in event.anomalies
    )
    told.answer = f"{len(met):,} anomalies, as they came"
    points = sum(event.points for event in events)
    told.expect(points == sum(len(each.values) for each in series), "points were lost")
    late = sum(event.late for event in events)
    whole = client.metrics.detect_anomalies(series=series)
    expected = sorted(
        (result.name, each.index, each.value)
        for result in whole.series
        for each in result.anomalies
    )
    told.expect(met == expected or late > 0, "they are not those found in all points at once")
    if not own.metrics:
        told_of = [
            (each.name, each.anomaly.timestamp) for event in events for each in event.anomalies
        ]
        _expect_incidents(told, told_of)
    return told


def _batches(series: Sequence[Series]) -> list[WatchInput]:
    longest = max((len(each.values) for each in series), default=0)
    return [
        WatchInput(series=[_part(each, start) for each in series if len(each.values) > start])
        for start in range(0, longest, BATCH)
    ]


def _part(series: Series, start: int) -> Series:
    end = start + BATCH
    times = None if series.timestamps is None else series.timestamps[start:end]
    return replace(series, timestamps=times, values=series.values[start:end])


def forecast(client: Sensorium, own: Own) -> Told:
    """`metrics.forecast`: when a count will be reached, against when it was."""
    if own.metrics:
        return _own_forecast(client, own)
    total = _running_total("requests_per_s")
    known = replace(
        total, timestamps=(total.timestamps or [])[:LEARNT_S], values=total.values[:LEARNT_S]
    )
    truth_s = REACHED_S - LEARNT_S
    told = Told(f"requests so far, {LEARNT_S} s of them: when will there be {REQUESTS:,}?")
    with told.timed():
        answer = client.metrics.forecast(series=[known], horizon_s=truth_s, threshold=REQUESTS)
    result = answer.series[0]
    crossing = result.time_to_threshold
    in_s = crossing.in_s if crossing is not None and crossing.in_s is not None else 0.0
    told.answer = f"in {show_duration(in_s)} by {result.method}; it was {show_duration(truth_s)}"
    told.expect(abs(in_s - truth_s) <= TOLERANCE * truth_s, "that is too far off")
    truths = total.values[LEARNT_S:REACHED_S]
    told.expect(round(truths[-1] or 0) == REQUESTS, "the sample is not as it was recorded")
    error, naive = _errors([point.value for point in result.points], truths, known.values[-1])
    told.expect(error < naive / 2, "it is little better than no change at all")
    return told


def _running_total(name: str) -> Series:
    column = next(series for series in sample_series() if series.name == name)
    return replace(column, name=name, values=list(accumulate(v or 0.0 for v in column.values)))


def _errors(
    told: Sequence[float], truths: Sequence[float | None], last: float | None
) -> tuple[float, float]:
    """The summed error of a forecast, and of saying that nothing changes."""
    pairs = [(a, b) for a, b in zip(told, truths, strict=False) if b is not None]
    return sum(abs(a - b) for a, b in pairs), sum(abs((last or 0.0) - b) for _, b in pairs)


def _own_forecast(client: Sensorium, own: Own) -> Told:
    series = own.series()
    told = Told(_shown(own, series))
    step_s = _step(series[0])
    with told.timed():
        answer = client.metrics.forecast(series=series, horizon_s=step_s * 20)
    told.answer = ", ".join(f"{each.name}: {each.method}" for each in answer.series[:3])
    told.expect(len(answer.series) == len(series), "a series is lost")
    for result in answer.series:
        told.expect(bool(result.points), f"{result.name}: nothing is told")
        told.expect(
            all(point.lower <= point.value <= point.upper for point in result.points),
            f"{result.name}: a value is outside its own interval",
        )
    return told


def _step(series: Series) -> float:
    times = series.timestamps
    if not times or len(times) < 2:
        return series.interval_s or 60.0
    return (max(times) - min(times)) / (len(times) - 1) or 60.0
