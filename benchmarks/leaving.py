"""A client leaves while its answer is computed: how much is computed after, and the slot is free.

A real server with two workers; the connection is closed amid the call. What its worker burns
within the next second is counted, be it that it stops or that it is killed because it does not.
The kernel counts in ticks of 10 ms, and an idle worker burns one now and then.
"""

import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from statistics import median

from benchmarks.report import Row, show
from benchmarks.running import Running, ours
from tests.faults.observing import burner, burnt_by, cpu_s, log_body, series_body, until

ROUNDS = 8
WORKERS = 2
LOOK_S = 0.002
WATCHED_S = 1.0
COMPUTED_S, FREE_S = 0.25, 1.0
LIMIT_S = 20.0
GONE = float("inf")
SLOTS = b"sensorium_slots_in_use{"


@dataclass(frozen=True)
class Left:
    """A call that is left once its worker has burnt so much."""

    what: str
    path: str
    body: bytes
    media_type: str = "application/json"
    after_s: float = 0.2


def measure() -> list[Row]:
    """Leave calls of ours that yield, one that never does, and real ones."""
    calls = [
        Left("compute that looks up", "/v1/testing/process", b'{"token": "t", "seconds": 60}'),
        Left("compute that never does", "/v1/testing/stuck", b'{"token": "t", "seconds": 60}'),
        Left("`logs.cluster` of 10^6 lines", "/v1/logs/cluster", log_body(1_000_000), "text/plain"),
        Left(
            "`metrics.detect_anomalies` of 4 * 10^6 points",
            "/v1/metrics/detect_anomalies",
            series_body(4_000_000),
        ),
    ]
    with ours("--workers", str(WORKERS)) as server:
        server.first_answer_s("/v1/health")
        return [row for call in calls for row in _rows(server, call)]


def _rows(server: Running, call: Left) -> list[Row]:
    computed, free = zip(*(_leave(server, call) for _ in range(ROUNDS)), strict=True)
    return [
        _row(f"{call.what}: computed after the client has gone", computed, COMPUTED_S),
        _row(f"{call.what}: client gone to slot free", free, FREE_S),
    ]


def _row(what: str, seconds: tuple[float, ...], most_s: float) -> Row:
    spread = f"{min(seconds) * 1e3:.0f} to {max(seconds) * 1e3:.0f} ms in {len(seconds)}"
    return Row(
        what,
        median(seconds) * 1e3,
        "ms",
        f"<= {most_s * 1e3:g} ms",
        max(seconds) <= most_s,
        note=f"{spread}; the slowest is judged",
    )


def _leave(server: Running, call: Left) -> tuple[float, float]:
    """Seconds of CPU that are burnt after leaving, and seconds until the slot is free."""
    until(lambda: _ready(server), LIMIT_S)
    before = burnt_by(server)
    with _sent(server, call):
        worker = until(lambda: burner(server, before, call.after_s), LIMIT_S)
        burnt = [cpu_s(worker)]
    left = time.perf_counter()
    free_s = None
    while free_s is None or time.perf_counter() - left < WATCHED_S:
        burnt.append(cpu_s(worker))
        if free_s is None and not _slots(server):
            free_s = time.perf_counter() - left
        if time.perf_counter() - left > LIMIT_S:
            raise RuntimeError(f"{call.path} is never over")
        time.sleep(LOOK_S)
    return max(each for each in burnt if each < GONE) - burnt[0], free_s


@contextmanager
def _sent(server: Running, call: Left) -> Iterator[None]:
    """A call under way, which is left at the end."""
    head = (
        f"POST {call.path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: {call.media_type}\r\n"
        f"content-length: {len(call.body)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", server.port)) as raw:
        raw.sendall(head.encode() + call.body)
        yield


def _ready(server: Running) -> bool:
    workers = json.loads(_get(server, "/readyz"))["workers"]
    return bool(workers["alive"] == workers["wanted"])


def _slots(server: Running) -> float:
    """How many places for compute are taken."""
    lines = _get(server, "/metrics").splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith(SLOTS))


def _get(server: Running, path: str) -> bytes:
    connection = HTTPConnection("127.0.0.1", server.port, timeout=LIMIT_S)
    try:
        connection.request("GET", path)
        return connection.getresponse().read()
    finally:
        connection.close()


if __name__ == "__main__":
    show(measure())
