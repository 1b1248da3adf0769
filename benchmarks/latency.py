"""Fifty lines over HTTP, themes and labels included: how long until the answer is there."""

from statistics import median

from benchmarks.head_of_line import SMALL_LINES, recorded_lines
from benchmarks.load import Task, post, run
from benchmarks.report import Row, show
from benchmarks.running import ours

RUNS = 5
SECONDS = 4.0
TARGET_MS = 5.0


def measure() -> list[Row]:
    """One call after the other over one connection, with lines of several systems."""
    lines = recorded_lines(20_000).splitlines(keepends=True)[:: 20_000 // SMALL_LINES]
    request = post("/v1/logs/cluster", b"".join(lines), "text/plain")
    with ours("--warm") as server:
        server.first_answer_s("/v1/health")
        run(Task(port=server.port, request=request, seconds=1, connections=1))
        outcomes = [
            run(Task(port=server.port, request=request, seconds=SECONDS, connections=1))
            for _ in range(RUNS)
        ]
    assert not any(outcome.failed for outcome in outcomes)
    medians = [outcome.ms(0.5) for outcome in outcomes]
    typical = median(medians)
    return [
        Row(
            f"{SMALL_LINES} lines over HTTP",
            typical,
            "ms",
            f"<= {TARGET_MS:g} ms median",
            typical <= TARGET_MS,
            note=f"medians of {RUNS} runs {min(medians):.2f} to {max(medians):.2f} ms; "
            f"p99 {median(outcome.ms(0.99) for outcome in outcomes):.2f} ms",
        )
    ]


if __name__ == "__main__":
    show(measure())
