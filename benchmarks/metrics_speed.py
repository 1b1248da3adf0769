"""How many points a second are judged, and that a long watch does not grow.

"Operation" is a plain call of the operation on a request that is ready: lists to arrays, the
method, and the anomalies as Structs. "Kernel" is the method alone, arrays to arrays.
"""

import resource
import sys
import time
from collections.abc import Callable, Iterator

import bottleneck
import numpy as np

from benchmarks.report import Row, show
from sensorium.capabilities.metrics.operations import detect_anomalies, watch
from sensorium.capabilities.metrics.points import BLOCK_POINTS, Floats
from sensorium.capabilities.metrics.schema import (
    DetectAnomaliesRequest,
    DetectionMethod,
    WatchInput,
    WatchRequest,
)
from sensorium.capabilities.metrics.tracking import make_detector
from sensorium.core.operation import Work
from sensorium.core.types import Series

POINTS = 1_000_000
STREAMED = 10_000_000
CHUNK = 10_000
INTERVAL_S = 300.0
WINDOW_POINTS = 312
RUNS = 5
TARGETS: dict[DetectionMethod, float] = {"novelty": 200_000.0, "sigma": 5_000_000.0}


def load(count: int, seed: int = 0) -> Floats:
    """A daily rhythm with noise, a slow drift and rare spikes."""
    random = np.random.default_rng(seed)
    place = np.arange(count)
    values = 50 + 10 * np.sin(place * (2 * np.pi / 288)) + random.normal(size=count)
    values += np.cumsum(random.normal(size=count)) * 0.01
    values[random.integers(0, count, count // 10_000)] += 40
    return values


def seconds(work: Callable[[], object]) -> tuple[float, float]:
    """The median and the slowest of some runs."""
    taken = []
    for _ in range(RUNS):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return float(np.median(taken)), max(taken)


def operation_rows(method: DetectionMethod) -> list[Row]:
    """Operation and kernel of one method."""
    values = load(POINTS)
    times = 1.7e9 + INTERVAL_S * np.arange(POINTS)
    listed, stamped = values.tolist(), times.tolist()
    target = TARGETS[method]
    rows = []
    for how, series in (
        ("interval", Series(interval_s=INTERVAL_S, values=listed)),
        ("timestamps", Series(timestamps=stamped, values=listed)),
    ):
        request = DetectAnomaliesRequest(series=[series], method=method)
        anomalies = len(detect_anomalies(request, Work()).series[0].anomalies)
        median, worst = seconds(lambda request=request: detect_anomalies(request, Work()))
        rate = POINTS / median
        note = f"{POINTS:,} points, {anomalies:,} anomalies; slowest {POINTS / worst / 1e6:.1f} M/s"
        rows.append(
            Row(
                f"{method}, operation, {how}",
                rate / 1e6,
                "M points/s",
                f">= {target / 1e6:g} M/s",
                rate >= target,
                note=note,
            )
        )
    median, _ = seconds(lambda: kernel(method, times, values))
    rows.append(Row(f"{method}, kernel", POINTS / median / 1e6, "M points/s"))
    return rows


def kernel(method: DetectionMethod, times: Floats, values: Floats) -> None:
    """The method alone, in the blocks that the operation uses."""
    detector = make_detector(method, 1.0)
    for start in range(0, len(times), BLOCK_POINTS):
        detector.judge(times[start : start + BLOCK_POINTS], values[start : start + BLOCK_POINTS])


def peer_row() -> Row:
    """bottleneck's moving mean and deviation: by number of points, not by time."""
    values = load(POINTS)
    median, _ = seconds(
        lambda: (
            bottleneck.move_mean(values, WINDOW_POINTS),
            bottleneck.move_std(values, WINDOW_POINTS),
        )
    )
    return Row(
        "bottleneck move_mean + move_std, 312 points",
        POINTS / median / 1e6,
        "M points/s",
        note="peer of the sigma kernel; loses digits after huge values",
    )


def watch_rows(method: DetectionMethod) -> list[Row]:
    """Rate of a long watch, and how much its process grew after the first tenth."""
    sizes: list[float] = []

    def inputs() -> Iterator[WatchInput]:
        for number in range(STREAMED // CHUNK):
            if number % (STREAMED // CHUNK // 10) == 0:
                sizes.append(peak_mib())
            values = load(CHUNK, seed=number).tolist()
            yield WatchInput(series=[Series(interval_s=INTERVAL_S, values=values)])

    events = watch(WatchRequest(method=method), inputs(), Work())
    start = time.perf_counter()
    for _ in events:
        pass
    busy = time.perf_counter() - start
    start = time.perf_counter()
    for number in range(STREAMED // CHUNK):
        load(CHUNK, seed=number).tolist()
    busy -= time.perf_counter() - start
    growth = sizes[-1] - sizes[1]
    return [
        Row(
            f"{method}, watch, inputs of {CHUNK:,}",
            STREAMED / busy / 1e6,
            "M points/s",
            note=f"{STREAMED:,} points, time to make them taken off",
        ),
        Row(
            f"{method}, watch: growth over the last 9 M points",
            growth,
            "MiB",
            "flat",
            growth < 2,
            note=f"peak resident {sizes[-1]:.0f} MiB",
        ),
    ]


def single_row(method: DetectionMethod) -> Row:
    """A watch fed one point at a time."""
    values = load(20_000).tolist()
    inputs = [WatchInput(series=[Series(interval_s=INTERVAL_S, values=[v])]) for v in values]
    median, _ = seconds(lambda: list(watch(WatchRequest(method=method), iter(inputs), Work())))
    return Row(f"{method}, watch, single points", len(inputs) / median / 1e3, "k points/s")


def peak_mib() -> float:
    """The largest resident size of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def measure() -> list[Row]:
    """All rows; the watches first, while the process is small."""
    methods: tuple[DetectionMethod, ...] = ("novelty", "sigma")
    rows = [row for method in methods for row in watch_rows(method)]
    rows += [row for method in methods for row in operation_rows(method)]
    return [*rows, *(single_row(method) for method in methods), peer_row()]


if __name__ == "__main__":
    show(measure())
