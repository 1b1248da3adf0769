"""What a small JSON call costs: CPU per call through the whole pipeline, beside FastAPI.

Ours checks a key, gives a request id, counts into histograms, keeps a deadline and watches for
the client leaving; FastAPI validates, and nothing else. Both on uvicorn with uvloop and httptools,
8 connections with one request each in flight, in turns. CPU is that of the server's process; for
`PROCESS`, of its workers too.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median

from benchmarks.load import Task, post, run
from benchmarks.peer_environment import ensure
from benchmarks.report import Row, show
from benchmarks.running import KEY, Running, ours, peer

ROUNDS = 7
SECONDS = 2.0
CALM_RATE = 50.0
CALM_SECONDS = 10.0
BODY = b'{"token": "' + b"x" * 1000 + b'"}'
AUTHORISED = {"authorization": f"Bearer {KEY}"}


@dataclass
class Case:
    """A way to call, and what each round of it measured."""

    what: str
    running: Running
    request: bytes
    tree: bool = False
    cpu_us: list[float] = field(default_factory=list)
    p50_ms: list[float] = field(default_factory=list)
    p99_ms: list[float] = field(default_factory=list)
    per_s: list[float] = field(default_factory=list)

    def round(self) -> None:
        """Measure once more."""
        spent: Callable[[], float] = self.running.tree_cpu_s if self.tree else self.running.cpu_s
        before = spent()
        outcome = run(Task(port=self.running.port, request=self.request, seconds=SECONDS))
        calls = len(outcome.seconds)
        assert outcome.failed == 0, f"{self.what}: {outcome.failed} of {calls} failed"
        self.cpu_us.append(1e6 * (spent() - before) / calls)
        self.p50_ms.append(outcome.ms(0.5))
        self.p99_ms.append(outcome.ms(0.99))
        self.per_s.append(calls / SECONDS)

    def note(self) -> str:
        """Its figures in words."""
        return (
            f"{median(self.cpu_us):.0f} us CPU ({min(self.cpu_us):.0f} to {max(self.cpu_us):.0f} "
            f"in {len(self.cpu_us)} rounds), {median(self.per_s):,.0f} calls/s; "
            f"p50 {median(self.p50_ms):.2f} ms, p99 {median(self.p99_ms):.2f} ms"
        )


def measure() -> list[Row]:
    """CPU per call in interleaved rounds, then latency with hardly any load."""
    ensure()
    with ours("--workers", "2", "--api-keys", KEY) as mine, peer("fastapi_app.py") as other:
        for running in (mine, other):
            running.first_answer_s("/v1/health")
        mine.first_answer_s("/v1/testing/process", b'{"token": "a"}', AUTHORISED)
        cases = {
            f"{who}.{how}": Case(
                f"{who} {how}",
                running,
                post(f"/v1/testing/{how}", BODY, key=KEY if running is mine else ""),
                tree=how == "process",
            )
            for who, running, hows in (
                ("ours", mine, ("inline", "thread", "process")),
                ("fastapi", other, ("inline", "thread")),
            )
            for how in hows
        }
        for case in cases.values():
            case.round()
            for figures in (case.cpu_us, case.p50_ms, case.p99_ms, case.per_s):
                figures.clear()
        for _ in range(ROUNDS):
            for case in cases.values():
                case.round()
        rows = [
            _row("INLINE, beside FastAPI async def", cases["ours.inline"], cases["fastapi.inline"]),
            _row("THREAD, beside FastAPI def", cases["ours.thread"], cases["fastapi.thread"]),
        ]
        process = cases["ours.process"]
        median_us = median(process.cpu_us)
        rows.append(Row("PROCESS, workers included", median_us, "us", note=process.note()))
        rows += [_calm(case) for case in cases.values()]
    return rows


TARGETS = {"INLINE": 0.6, "THREAD": 0.8}


def _row(what: str, mine: Case, other: Case) -> Row:
    pairs = zip(mine.cpu_us, other.cpu_us, strict=True)
    ratio = median(ours_us / theirs_us for ours_us, theirs_us in pairs)
    target = TARGETS[what.partition(",")[0]]
    return Row(
        f"CPU per call: {what}",
        ratio,
        "x",
        f"<= {target}x",
        ratio <= target,
        peer=other.note(),
        note=mine.note(),
    )


def _calm(case: Case) -> Row:
    outcome = run(
        Task(
            port=case.running.port,
            request=case.request,
            seconds=CALM_SECONDS,
            rate_per_s=CALM_RATE,
        )
    )
    p99 = outcome.ms(0.99)
    is_ours = case.what.startswith("ours")
    return Row(
        f"p99 at {CALM_RATE:g} calls/s: {case.what}",
        p99,
        "ms",
        "< 5 ms" if is_ours else "",
        p99 < 5 if is_ours else None,
        note=f"p50 {outcome.ms(0.5):.2f} ms",
    )


if __name__ == "__main__":
    show(measure())
