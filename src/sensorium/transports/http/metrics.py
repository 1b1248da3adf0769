"""The counters in the Prometheus format; loaded with the first scrape."""

from collections.abc import Iterator
from itertools import accumulate

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from sensorium.core.telemetry import BUCKETS_S, Durations, Telemetry


class _Collector:
    """Reads the telemetry anew at each scrape."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry

    def collect(self) -> Iterator[Metric]:
        """See prometheus_client."""
        yield from self._calls()
        yield from self._readings()

    def _calls(self) -> Iterator[Metric]:
        calls = CounterMetricFamily(
            "sensorium_calls", "Calls that ended.", labels=["operation", "code"]
        )
        latency = HistogramMetricFamily(
            "sensorium_call_seconds", "How long calls took.", labels=["operation"]
        )
        in_flight = GaugeMetricFamily(
            "sensorium_calls_in_flight", "Calls that run or wait.", labels=["operation"]
        )
        for name, stats in list(self._telemetry.operations.items()):
            for code, count in stats.codes.items():
                calls.add_metric([name, code], count)
            in_flight.add_metric([name], stats.in_flight)
            latency.add_metric([name], _buckets(stats), sum_value=stats.seconds)
        yield from (calls, latency, in_flight)

    def _readings(self) -> Iterator[Metric]:
        telemetry = self._telemetry
        refusals = CounterMetricFamily(
            "sensorium_refusals", "Calls refused before they ran.", labels=["operation", "code"]
        )
        for (name, code), count in list(telemetry.refusals.items()):
            refusals.add_metric([name, code], count)
        yield refusals
        for reading in telemetry.readings:
            if reading.kind == "histogram":
                histogram = HistogramMetricFamily(reading.name, reading.help, labels=["part"])
                for part, durations in reading.read().items():
                    buckets = _buckets(durations)
                    histogram.add_metric([part], buckets, sum_value=durations.seconds)
                yield histogram
                continue
            kind = GaugeMetricFamily if reading.kind == "gauge" else CounterMetricFamily
            family = kind(reading.name, reading.help, labels=["part"])
            for part, value in reading.read().items():
                family.add_metric([part], value)
            yield family


def _buckets(durations: Durations) -> list[tuple[str, float]]:
    bounds = (*map(str, BUCKETS_S), "+Inf")
    return list(zip(bounds, accumulate(durations.buckets), strict=True))


def scrape(telemetry: Telemetry) -> tuple[bytes, bytes]:
    """The counters as text, and the text's media type."""
    registry = CollectorRegistry()
    registry.register(_Collector(telemetry))
    return generate_latest(registry), CONTENT_TYPE_LATEST.encode()
