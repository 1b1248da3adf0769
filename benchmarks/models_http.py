"""One small ONNX model over HTTP, beside LitServe and MLServer.

The model is an MLP of 27-64-64-3; a request is a row of 27 numbers as JSON, to ours and MLServer's
`/v2/models/mlp/infer` and to LitServe's `/predict`. One connection with one request after the
other, then 32, in turns; a peer that is not measured is stopped meanwhile. Ours is as installed.
All run ONNX Runtime with one thread, and answer over uvicorn with uvloop and httptools.
Of each peer two set-ups run, and the better one counts: LitServe with a batch of one and of 32 (for
which it waits a millisecond), with its fast queue and one worker, its default; MLServer with the
model in the server's process, where it computes on the event loop, and in one of its own, its
default. MLServer's debug mode is off; its adaptive batches made it no quicker and are off, too.
"""

import json
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from benchmarks.load import Task, post, run
from benchmarks.peer_environment import ensure
from benchmarks.report import Row, show
from benchmarks.running import Running, ours, peer
from tests.models import files

ROUNDS = 5
SECONDS = 1.5
MANY = 32
MLSERVER = "peers_mlserver"
WIDTHS = (27, 64, 64, 3)
NUMBERS = [round(0.1 * n - 1.3, 1) for n in range(WIDTHS[0])]
OPEN_INFERENCE = {
    "inputs": [{"name": "x", "shape": [1, WIDTHS[0]], "datatype": "FP32", "data": NUMBERS}]
}
JSON = {"content-type": "application/json"}
TARGETS = {"LitServe": (0.6, 3.0), "MLServer": (0.85, 2.0)}
"""At most so much of the peer's latency, at least so many times its requests per second."""


@dataclass
class Case:
    """A server with the model, and what each round of it measured."""

    who: str
    set_up: str
    running: Running
    path: str
    body: bytes
    p50_ms: list[float] = field(default_factory=list)
    p99_ms: list[float] = field(default_factory=list)
    per_s: list[float] = field(default_factory=list)

    def round(self) -> None:
        """Measure once more."""
        request = post(self.path, self.body)
        task = Task(port=self.running.port, request=request, seconds=SECONDS, connections=1)
        single = run(task)
        many = run(Task(port=self.running.port, request=request, seconds=SECONDS, connections=MANY))
        assert single.failed + many.failed == 0, f"{self.who}, {self.set_up}: calls failed"
        self.p50_ms.append(single.ms(0.5))
        self.p99_ms.append(single.ms(0.99))
        self.per_s.append(len(many.seconds) / SECONDS)

    def forget(self) -> None:
        """Drop what was measured so far."""
        for figures in (self.p50_ms, self.p99_ms, self.per_s):
            figures.clear()

    def latency(self) -> str:
        """Its latency in words."""
        return f"p50 {median(self.p50_ms):.2f} ms, p99 {median(self.p99_ms):.2f} ms{self._as()}"

    def rate(self) -> str:
        """Its rate in words."""
        return (
            f"{median(self.per_s):,.0f} ({min(self.per_s):,.0f} to {max(self.per_s):,.0f}) "
            f"requests/s{self._as()}"
        )

    def _as(self) -> str:
        return f", {self.set_up}" if self.set_up else ""


@contextmanager
def cases(folder: Path) -> Iterator[list[Case]]:
    """Every server with the model, ours first; the peers are paused."""
    path = str(files.dense(folder / "mlp", WIDTHS))
    v2, inference = "/v2/models/mlp/infer", json.dumps(OPEN_INFERENCE).encode()
    plain = json.dumps({"input": NUMBERS}).encode()
    with ExitStack() as stack:
        mine = stack.enter_context(ours(environ={"SENSORIUM_MODEL_CACHE_PATH": str(folder)}))
        found = [Case("ours", "", mine, v2, inference)]
        for rows, set_up in (("1", "a batch of one"), ("32", "batches of 32")):
            running = stack.enter_context(peer("litserve_onnx.py", path, rows))
            found.append(Case("LitServe", set_up, running, "/predict", plain))
        for processes, set_up in (("0", "in its process"), ("1", "in a process of its own")):
            running = stack.enter_context(
                peer("mlserver_onnx.py", path, processes, environment=MLSERVER)
            )
            found.append(Case("MLServer", set_up, running, v2, inference))
        for case in found:
            case.running.first_answer_s(case.path, case.body, JSON)
        yield found


def measure() -> list[Row]:
    """Latency and rate of each in interleaved rounds."""
    ensure()
    ensure(MLSERVER)
    with tempfile.TemporaryDirectory() as folder, cases(Path(folder)) as found:
        for number in range(ROUNDS + 1):
            for case in found:
                with ExitStack() as stack:
                    for other in found[1:]:
                        if other is not case:
                            stack.enter_context(other.running.paused())
                    case.round()
            if not number:  # what came first loaded and warmed something
                for case in found:
                    case.forget()
    rows = []
    for who, (share, times) in TARGETS.items():
        peers = [each for each in found if each.who == who]
        rows += [_latency_row(found[0], peers, share), _rate_row(found[0], peers, times)]
    return rows


def _latency_row(mine: Case, peers: list[Case], target: float) -> Row:
    best = min(peers, key=lambda each: median(each.p50_ms))
    ratio = median(a / b for a, b in zip(mine.p50_ms, best.p50_ms, strict=True))
    return Row(
        f"one request after the other: p50, beside {best.who}",
        ratio,
        "x",
        f"<= {target:g}x",
        ratio <= target,
        peer=_both(best.latency(), [each.latency() for each in peers]),
        note=mine.latency(),
    )


def _rate_row(mine: Case, peers: list[Case], target: float) -> Row:
    best = max(peers, key=lambda each: median(each.per_s))
    ratio = median(a / b for a, b in zip(mine.per_s, best.per_s, strict=True))
    return Row(
        f"{MANY} clients: requests per second, beside {best.who}",
        ratio,
        "x",
        f">= {target:g}x",
        ratio >= target,
        peer=_both(best.rate(), [each.rate() for each in peers]),
        note=mine.rate(),
    )


def _both(counted: str, all_of_them: list[str]) -> str:
    others = [each for each in all_of_them if each != counted]
    return "; ".join([counted, *(f"({each})" for each in others)])


if __name__ == "__main__":
    show(measure())
