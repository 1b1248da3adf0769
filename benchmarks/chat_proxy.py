"""One chat call through us to another server that has the model, beside LiteLLM's proxy.

The other server answers at once, always with the same 16 words, so that what is measured is what
stands before it. Both are asked in OpenAI's protocol for a whole answer: in turns at a rate that
LiteLLM sustains here, sent at fixed times, then by connections that are kept busy. CPU is of the
process and its children, for each call. LiteLLM runs as its documents say for production, without
a database or keys, with one worker and with two; the better rate counts. Ours is one process, as
installed. The load and the other server share the machine's cores with them.
"""

import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import psutil

from benchmarks.load import Outcome, Task, post, run
from benchmarks.peer_environment import ensure
from benchmarks.report import Row, show
from benchmarks.running import Running, answers, ours, peer

ROUNDS = 3
START_S = 120.0
SECONDS = 2.5
AT_RATE_S = 6.0
MANY = 16
SUSTAINED = 0.5
"""Of LiteLLM's highest rate with one worker: so much is asked of both."""
PEERS = "peers_litellm"
PATH = "/v1/chat/completions"
BODY = b'{"model": "m", "messages": [{"role": "user", "content": "Say something."}]}'
STREAMED = BODY[:-1] + b', "stream": true}'
JSON = {"content-type": "application/json"}


@dataclass(eq=False)
class Case:
    """A server under measurement, and what each round of it measured."""

    who: str
    running: Running
    p50_ms: list[float] = field(default_factory=list)
    p99_ms: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)
    per_s: list[float] = field(default_factory=list)
    streams_per_s: list[float] = field(default_factory=list)

    def at(self, rate_per_s: float) -> None:
        """Measure latency and CPU at a rate."""
        before = self._cpu_s()
        found = self._run(Task(port=0, request=b"", seconds=AT_RATE_S, rate_per_s=rate_per_s))
        self.cpu_ms.append(1e3 * (self._cpu_s() - before) / len(found.seconds))
        self.p50_ms.append(found.ms(0.5))
        self.p99_ms.append(found.ms(0.99))

    def highest(self, *, streams: bool = False) -> None:
        """Measure the highest rate."""
        task = Task(port=0, request=b"", seconds=SECONDS, connections=MANY)
        found = self._run(task, STREAMED if streams else BODY)
        rates = self.streams_per_s if streams else self.per_s
        rates.append(len(found.seconds) / SECONDS)

    def _run(self, task: Task, body: bytes = BODY) -> Outcome:
        task.port, task.request = self.running.port, post(PATH, body)
        found = run(task)
        assert not found.failed, f"{self.who}: calls failed"
        return found

    def _cpu_s(self) -> float:
        whole = psutil.Process(self.running.process.pid)
        times = [each.cpu_times() for each in (whole, *whole.children(recursive=True))]
        return float(sum(each.user + each.system for each in times))


@contextmanager
def cases(folder: Path) -> Iterator[list[Case]]:
    """The other server itself, ours, then LiteLLM with one worker and with two."""
    with ExitStack() as stack:
        upstream = stack.enter_context(peer("instant_chat.py", environment=PEERS))
        url = f"http://127.0.0.1:{upstream.port}/v1"
        (folder / "m").mkdir()
        settings = f'url = "{url}"\nprotocol = "openai"\nmodel = "m"\n'
        (folder / "m" / "remote.toml").write_text(settings)
        mine = stack.enter_context(ours(environ={"SENSORIUM_MODEL_CACHE_PATH": str(folder)}))
        found = [Case("the other server", upstream), Case("ours", mine)]
        for workers in ("1", "2"):
            _answering(found[-1].running)
            running = stack.enter_context(peer("litellm_proxy.py", url, workers, environment=PEERS))
            found.append(Case(f"{workers} worker{'s'[: int(workers) - 1]}", running))
        _answering(found[-1].running)
        yield found


def _answering(running: Running) -> None:
    """Wait until it answers."""
    until = time.monotonic() + START_S
    while not answers(running.port, PATH, BODY, JSON):
        if time.monotonic() > until:
            raise RuntimeError("a server did not start")
        time.sleep(0.2)


def measure() -> list[Row]:
    """Latency, CPU and rates of each in interleaved rounds."""
    ensure(PEERS)
    with tempfile.TemporaryDirectory() as folder, cases(Path(folder)) as found:
        bare, mine, single, double = found
        with double.running.paused():
            for _ in range(2):
                single.highest()
        rate = SUSTAINED * single.per_s[-1]
        mine.highest()
        for case in found:  # what came first loaded and warmed something
            case.per_s.clear()
        for _ in range(ROUNDS):
            for case in found:
                with ExitStack() as stack:
                    for other in (single, double):
                        if other is not case:
                            stack.enter_context(other.running.paused())
                    if case is not double:
                        case.at(rate)
                    if case in (mine, single):
                        case.highest(streams=True)
                    case.highest()
    best = max(single, double, key=lambda each: median(each.per_s))
    return rows(bare, mine, single, best, rate)


def rows(bare: Case, mine: Case, single: Case, best: Case, rate: float) -> list[Row]:
    """What was measured, as rows."""
    p50 = _ratio(mine.p50_ms, single.p50_ms)
    cpu = _ratio(mine.cpu_ms, single.cpu_ms)
    p99 = median(mine.p99_ms)
    highest = _ratio(mine.per_s, best.per_s)
    streams = _ratio(mine.streams_per_s, single.streams_per_s)
    at = f"at {rate:.0f} calls/s: "

    def said(figures: list[float], unit: str) -> str:
        return f"{median(figures):,.2f} ({min(figures):,.2f} to {max(figures):,.2f}) {unit}"

    return [
        Row(
            f"{at}p50",
            p50,
            "x",
            "<= 0.3x",
            p50 <= 0.3,
            said(single.p50_ms, "ms"),
            said(mine.p50_ms, "ms"),
        ),
        Row(
            f"{at}p99",
            p99,
            "ms",
            "<= 10 ms",
            p99 <= 10,
            said(single.p99_ms, "ms"),
            f"{said(mine.p99_ms, 'ms')}; the other server itself: {said(bare.p99_ms, 'ms')}",
        ),
        Row(
            f"{at}CPU a call",
            cpu,
            "x",
            "<= 0.3x",
            cpu <= 0.3,
            said(single.cpu_ms, "ms"),
            said(mine.cpu_ms, "ms"),
        ),
        Row(
            f"highest rate, {MANY} connections",
            highest,
            "x",
            ">= 5x",
            highest >= 5,
            said(best.per_s, f"calls/s, {best.who}"),
            said(mine.per_s, "calls/s"),
        ),
        Row(
            f"streams of 16 words, {MANY} connections",
            streams,
            "x",
            peer=said(single.streams_per_s, "streams/s"),
            note=said(mine.streams_per_s, "streams/s"),
        ),
    ]


def _ratio(ours: list[float], theirs: list[float]) -> float:
    return median(a / b for a, b in zip(ours, theirs, strict=True))


if __name__ == "__main__":
    show(measure())
