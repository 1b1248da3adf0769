"""A model's own process is killed under load: how soon it serves again, and does any call hang?

A real server holds the model in a process of its own; eight clients call it without a break, each
over a connection of its own. The clock runs from SIGKILL to the end of the first call that was
begun after it and succeeded. A call hangs if it has no answer after ten seconds, good or bad.
Before each kill the process lives for four seconds at least: after one that dies within three,
again and again, the next waits for up to a second, which is not measured here.
"""

import json
import os
import signal
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from statistics import median

import psutil

from benchmarks.models_http import JSON, OPEN_INFERENCE, WIDTHS
from benchmarks.report import Row, show
from benchmarks.running import Running, answers, ours
from tests.models import files

KILLS = 6
CLIENTS = 8
LIVES_S = 4.0
HANGS_S = 10.0
BACK_S = 20.0
TARGET_S = 2.0
PATH = "/v2/models/mlp/infer"
BODY = json.dumps(OPEN_INFERENCE).encode()


@dataclass
class Calls:
    """What became of the clients' calls."""

    port: int
    statuses: Counter[int] = field(default_factory=Counter)
    """How many had which status; 0: the connection was lost, -1: no answer in time."""
    served: list[tuple[float, float]] = field(default_factory=list)
    """When each call that succeeded began and ended."""
    over: bool = False

    def call_without_break(self) -> None:
        """Call until it is over."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=HANGS_S)
        while not self.over:
            began = time.perf_counter()
            try:
                connection.request("POST", PATH, BODY, JSON)
                response = connection.getresponse()
                response.read()
                status = response.status
            except TimeoutError:
                status = -1
                connection.close()
            except (OSError, HTTPException):
                status = 0
                connection.close()
            self.statuses[status] += 1
            if status == 200:
                self.served.append((began, time.perf_counter()))

    def served_again_after(self, moment: float) -> float:
        """Seconds until the end of the first call that was begun after a moment and succeeded."""
        until = moment + BACK_S
        while time.perf_counter() < until:
            ends = [end for began, end in self.served[-1000:] if began > moment]
            if ends:
                return min(ends) - moment
            time.sleep(0.001)
        raise RuntimeError(f"it does not serve again within {BACK_S:g} s")


def measure() -> list[Row]:
    """Kill the model's process a few times under load."""
    with tempfile.TemporaryDirectory() as folder:
        files.dense(Path(folder) / "mlp", WIDTHS)
        with ours(environ={"SENSORIUM_MODEL_CACHE_PATH": folder}) as server:
            others = load(server)
            with calling(server) as calls:
                seconds = [_kill(server, others, calls) for _ in range(KILLS)]
    return _rows(seconds, calls.statuses)


def load(server: Running) -> set[int]:
    """Load the model in a process of its own; returns the ids of the other processes."""
    server.first_answer_s("/v1/health")
    _wait_for_workers(server)
    others = processes_of(server)
    request = json.dumps({"model": "mlp", "options": {"placement": "process"}}).encode()
    assert answers(server.port, "/v1/models/load", request, JSON)
    return others


@contextmanager
def calling(server: Running) -> Iterator[Calls]:
    """Clients that call the model."""
    calls = Calls(server.port)
    threads = [threading.Thread(target=calls.call_without_break) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    try:
        yield calls
    finally:
        calls.over = True
        for thread in threads:
            thread.join()


def _kill(server: Running, others: set[int], calls: Calls) -> float:
    time.sleep(LIVES_S)
    (victim,) = processes_of(server) - others
    moment = time.perf_counter()
    os.kill(victim, signal.SIGKILL)
    return calls.served_again_after(moment)


def processes_of(server: Running) -> set[int]:
    """The ids of the processes that a server has started and that are up."""
    children = psutil.Process(server.process.pid).children(recursive=True)
    return {each.pid for each in children if each.status() != psutil.STATUS_ZOMBIE}


def _wait_for_workers(server: Running) -> None:
    connection = HTTPConnection("127.0.0.1", server.port, timeout=HANGS_S)
    workers = {"alive": 0, "wanted": 1}
    while workers["alive"] != workers["wanted"]:
        connection.request("GET", "/readyz")
        workers = json.loads(connection.getresponse().read())["workers"]
        time.sleep(0.02)
    connection.close()


def _rows(seconds: list[float], statuses: Counter[int]) -> list[Row]:
    typical, hung = median(seconds), statuses.pop(-1, 0)
    served = statuses.pop(200, 0)
    failed = ", ".join(f"{count} with {status}" for status, count in sorted(statuses.items()))
    return [
        Row(
            "SIGKILL of a model's process to serving again",
            typical,
            "s",
            f"<= {TARGET_S:g} s",
            max(seconds) <= TARGET_S,
            note=f"{min(seconds):.2f} to {max(seconds):.2f} s in {len(seconds)} kills; the slowest "
            "is judged",
        ),
        Row(
            "calls that hang",
            hung,
            "",
            "0",
            not hung,
            note=f"{served:,} served; refused or failed: {failed or 'none'}",
        ),
    ]


if __name__ == "__main__":
    show(measure())
