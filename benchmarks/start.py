"""Cold start: from the start of the process to the first answer, beside a bare Starlette app.

The two alternate, with their modules compiled. What the bare app does not do and ours does:
settings, keys, limits, worker processes.
"""

from statistics import median

from benchmarks.peer_environment import ensure
from benchmarks.report import Row, show
from benchmarks.running import ours, peer

RUNS = 11
LINES = b"2024-05-01 12:00:00 ERROR auth: Failed password for alice from 10.0.0.7\n" * 3
TEXT = {"content-type": "text/plain"}


def measure() -> list[Row]:
    """Medians of alternating starts."""
    ensure()
    bare: list[float] = []
    health: list[float] = []
    cluster: list[float] = []
    for _ in range(RUNS + 1):
        with peer("bare_starlette.py") as running:
            bare.append(running.first_answer_s("/v1/health"))
        with ours() as running:
            health.append(running.first_answer_s("/v1/health"))
            cluster.append(running.first_answer_s("/v1/logs/cluster", LINES, TEXT))
    del bare[0], health[0], cluster[0]  # the first start of each may have compiled its modules
    return [
        Row("bare Starlette on uvicorn: first 200", _ms(bare), "ms", note=_spread(bare)),
        _row("first 200 on /v1/health", health, bare, 1.5),
        _row("first answered logs.cluster", cluster, bare, 4.0),
    ]


def _row(what: str, seconds: list[float], bare: list[float], target: float) -> Row:
    ratio = median(seconds) / median(bare)
    return Row(
        what,
        ratio,
        "x",
        f"<= {target:g}x the bare app",
        ratio <= target,
        peer=f"{_ms(bare):.0f} ms",
        note=f"{_ms(seconds):.0f} ms; {_spread(seconds)}",
    )


def _ms(seconds: list[float]) -> float:
    return 1e3 * median(seconds)


def _spread(seconds: list[float]) -> str:
    return f"{1e3 * min(seconds):.0f} to {1e3 * max(seconds):.0f} ms in {len(seconds)} starts"


if __name__ == "__main__":
    show(measure())
