"""Do small calls wait behind big ones? Their p99 with the server idle, and while it clusters.

Small calls arrive at 100 a second whatever becomes of them, for 20 s of back-to-back calls of
`logs.cluster` with 100,000 lines each, and before that with nothing else going on. The event loop
is watched from inside the server.
"""

import json
from dataclasses import dataclass, field
from http.client import HTTPConnection
from itertools import cycle, islice
from pathlib import Path
from statistics import median

from benchmarks.load import Outcome, Task, collect, post, run, start
from benchmarks.report import Row, show
from benchmarks.running import Running, ours

RECORDED = Path(__file__).parent / "recorded"
BIG_LINES = 100_000
SMALL_LINES = 50
RATE = 100.0
IDLE_S = 10.0
BUSY_S = 20.0
ROUNDS = 3
WORSE = 3.0
STALL_MS = 5.0


def recorded_lines(count: int) -> bytes:
    """Lines of logs recorded from real runs, one file after the other, again from the start."""
    lines: list[bytes] = []
    for path in sorted(RECORDED.glob("*.log")):
        lines += path.read_bytes().splitlines()
    return b"\n".join(islice(cycle(lines), count)) + b"\n"


@dataclass
class Case:
    """A kind of small call, and its p99 in each round."""

    what: str
    request: bytes
    idle_ms: list[float] = field(default_factory=list)
    busy_ms: list[float] = field(default_factory=list)
    idle_p50_ms: list[float] = field(default_factory=list)
    busy_p50_ms: list[float] = field(default_factory=list)
    big_ms: list[float] = field(default_factory=list)

    def row(self) -> Row:
        """The case's figures."""
        pairs = zip(self.idle_ms, self.busy_ms, strict=True)
        ratio = median(busy / idle for idle, busy in pairs)
        listed = ", ".join(
            f"{low:.1f} -> {high:.1f}" for low, high in zip(self.idle_ms, self.busy_ms, strict=True)
        )
        return Row(
            f"p99 of {self.what} beside 100,000-line calls",
            ratio,
            "x its idle p99",
            f"<= {WORSE:g}x",
            ratio <= WORSE,
            note=f"p99 {listed} ms in {len(self.idle_ms)} rounds; p50 "
            f"{median(self.idle_p50_ms):.1f} -> {median(self.busy_p50_ms):.1f} ms; "
            f"against the calmest idle round {median(self.busy_ms) / min(self.idle_ms):.1f}x; "
            f"a big call {median(self.big_ms):.0f} ms",
        )


def measure() -> list[Row]:
    """Both kinds of small call, idle and busy in turns, and the loop's stalls."""
    plain = "text/plain"
    big = post("/v1/logs/cluster", recorded_lines(BIG_LINES), plain)
    few = recorded_lines(1000).splitlines(keepends=True)[:: 1000 // SMALL_LINES]
    cases = [
        Case("system.echo", post("/v1/system/echo", b'{"text": "' + b"x" * 1000 + b'"}')),
        Case("logs.cluster of 50 lines", post("/v1/logs/cluster", b"".join(few), plain)),
    ]
    idle_stalls: list[dict[str, float]] = []
    busy_stalls: list[dict[str, float]] = []
    with ours("--warm") as server:
        server.first_answer_s("/v1/probe/stalls", b'{"seconds": 0.1}')
        run(Task(port=server.port, request=big, seconds=3, connections=1))
        for _ in range(ROUNDS):
            for case in cases:
                quiet = run(_small(server, case, IDLE_S))
                idle_stalls.append(stalls(server, 2.0))
                loading = start(
                    Task(port=server.port, request=big, seconds=BUSY_S + 1, connections=1)
                )
                calling = start(_small(server, case, BUSY_S))
                busy_stalls.append(stalls(server, BUSY_S - 1))
                loud, beside = collect(calling), collect(loading)
                _take(case, quiet, loud, beside)
    return [*(case.row() for case in cases), *_stall_rows(idle_stalls, busy_stalls)]


def _small(server: Running, case: Case, seconds: float) -> Task:
    return Task(port=server.port, request=case.request, seconds=seconds, rate_per_s=RATE)


def _take(case: Case, quiet: Outcome, loud: Outcome, beside: Outcome) -> None:
    assert quiet.failed + loud.failed + beside.failed == 0
    case.idle_ms.append(quiet.ms(0.99))
    case.idle_p50_ms.append(quiet.ms(0.5))
    case.busy_ms.append(loud.ms(0.99))
    case.busy_p50_ms.append(loud.ms(0.5))
    case.big_ms.append(beside.ms(0.5))


def stalls(server: Running, seconds: float) -> dict[str, float]:
    """What the probe inside the server saw."""
    connection = HTTPConnection("127.0.0.1", server.port)
    connection.request("POST", "/v1/probe/stalls", json.dumps({"seconds": seconds}))
    found: dict[str, float] = json.loads(connection.getresponse().read())
    connection.close()
    return found


def _stall_rows(idle: list[dict[str, float]], busy: list[dict[str, float]]) -> list[Row]:
    held = max(each["held_ms"] for each in busy)
    late = max(each["late_ms"] for each in busy)
    quiet = max(each["late_ms"] for each in idle)
    quiet_ticks = sum(each["ticks"] for each in idle)
    over = sum(each["over_5_ms"] for each in busy)
    ticks = sum(each["ticks"] for each in busy)
    return [
        Row(
            "longest event-loop stall, by the loop's own CPU time",
            held,
            "ms",
            f"<= {STALL_MS:g} ms",
            held <= STALL_MS,
            note=f"{ticks:,.0f} ticks of 1 ms",
        ),
        Row(
            "longest event-loop stall, by the clock",
            late,
            "ms",
            f"<= {STALL_MS:g} ms",
            late <= STALL_MS,
            note=f"{over:.0f} of {ticks:,.0f} ticks over 5 ms; idle {quiet:.1f} ms "
            f"in {quiet_ticks:,.0f} ticks; "
            "what the machine gives to other processes is in it",
        ),
    ]


if __name__ == "__main__":
    show(measure())
