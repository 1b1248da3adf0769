"""What the drills look at from outside: processes, CPU time, raw connections."""

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

import httpx
import psutil

from tests.servers import Server

T = TypeVar("T")
LOOK_S = 0.005
BUSY = 5
"""How many times as long things may take beside the rest of the suite as on a machine of their own.
Whether something happens is tested here; how fast it does is measured in `benchmarks/`."""
LEAST_S = 15.0
"""No wait is given up before: a process may stand still for seconds where others have the cores."""
STILL_S = 0.75
NOISE_S = 0.02
"""Two ticks of the kernel's clock: an idle worker still answers the heartbeat."""


class Started(Protocol):
    """What was started as a process of its own."""

    @property
    def process(self) -> "subprocess.Popen[Any]":
        """Its process."""


def until(condition: Callable[[], T], within_s: float, what: str = "") -> T:
    """What `condition` returns once that is true; fails when it is not in time (see BUSY)."""
    limit_s = max(within_s * BUSY, LEAST_S)
    end = time.monotonic() + limit_s
    while not (found := condition()):
        assert time.monotonic() < end, f"not within {limit_s:g} s: {what or condition}"
        time.sleep(LOOK_S)
    return found


def workers_of(server: Started) -> list[psutil.Process]:
    """The server's worker processes."""
    found = []
    for child in psutil.Process(server.process.pid).children():
        try:
            if "sensorium.workers.child" in child.cmdline():
                found.append(child)
        except psutil.Error:
            continue
    return found


def cpu_s(process: psutil.Process) -> float:
    """The CPU time that a process has used; infinite once it is gone, as it can use no more."""
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            return float("inf")
        times = process.cpu_times()
    except psutil.Error:
        return float("inf")
    return float(times.user + times.system)


def busy_worker(server: Started, within_s: float = 20, burnt_s: float = 0.3) -> psutil.Process:
    """The worker that computes: the first to burn `burnt_s` of CPU from now on."""
    before = burnt_by(server)
    return until(lambda: burner(server, before, burnt_s), within_s, "a worker that computes")


def burnt_by(server: Started) -> dict[int, float]:
    """The CPU time that each of its workers has used, by process id."""
    return {process.pid: cpu_s(process) for process in workers_of(server)}


def burner(server: Started, before: dict[int, float], burnt_s: float) -> psutil.Process | None:
    """The first worker that has burnt so much since then, if any has."""
    for process in workers_of(server):
        spent = cpu_s(process) - before.get(process.pid, float("inf"))
        if burnt_s <= spent < float("inf"):
            return process
    return None


def until_idle(process: psutil.Process, within_s: float) -> None:
    """Return when it burns nothing for a while, or is gone."""
    used, since = cpu_s(process), time.monotonic()

    def idle() -> bool:
        nonlocal used, since
        now = cpu_s(process)
        if now == float("inf"):
            return True
        if now - used > NOISE_S:
            used, since = now, time.monotonic()
        return time.monotonic() - since > STILL_S

    until(idle, within_s, f"process {process.pid} computes no more")


def readiness(http: httpx.Client) -> Any:
    """The readiness document."""
    return http.get("/readyz").json()


def wait_until_all_alive(http: httpx.Client, within_s: float = 2.0) -> None:
    """Return when every worker is up."""

    def all_alive() -> bool:
        workers = readiness(http)["workers"]
        return bool(workers["alive"] == workers["wanted"])

    until(all_alive, within_s, "all workers alive")


def in_flight(http: httpx.Client, operation: str) -> int:
    """How many calls of an operation the server is serving."""
    entries = http.get("/v1/system/activity").json()["operations"]
    return next((e["in_flight"] for e in entries if e["operation"] == operation), 0)


def figure(http: httpx.Client, name: str, label: str, without: float | None = None) -> float:
    """One figure of `/metrics`, by name and the value of its label, or what there is without."""
    for line in http.get("/metrics").text.splitlines():
        if line.startswith(name) and f'"{label}"' in line:
            return float(line.split()[-1])
    assert without is not None, f"/metrics has no {name} of {label}"
    return without


def kill(process: psutil.Process, how: int = signal.SIGKILL) -> None:
    """Send a signal to a worker."""
    os.kill(process.pid, how)


def stand_still(process: psutil.Process) -> None:
    """Stop a process (SIGSTOP), and return when it stands."""
    kill(process, signal.SIGSTOP)
    until(lambda: process.status() == psutil.STATUS_STOPPED, 2)


def log_body(lines: int) -> bytes:
    """A log of that many lines, of some dozens of kinds."""
    verbs = ("opened", "closed", "refused", "retried", "dropped", "renewed")
    return b"".join(
        b"2024-05-01 12:%02d:%02d INFO part%d: connection %d from 10.0.%d.%d %s after %d ms\n"
        % (
            *(i // 60 % 60, i % 60, i % 7, i, i % 256, i * 7 % 256),
            *(verbs[i % 6].encode(), i * 13 % 1000),
        )
        for i in range(lines)
    )


def series_body(points: int) -> bytes:
    """A request for `metrics.detect_anomalies` over that many points."""
    values = b",".join(b"%d.%d" % (50 + i * 7 % 13, i % 10) for i in range(points))
    return b'{"series": [{"interval_s": 60, "values": [' + values + b"]}]}"


@contextmanager
def posted(
    server: Server, path: str, body: bytes, media_type: str = "application/json", **headers: str
) -> Iterator[socket.socket]:
    """A request that was sent; the answer can be read from the socket, or the socket closed."""
    url = httpx.URL(server.url)
    fields = {
        "host": "127.0.0.1",
        "content_type": media_type,
        "content_length": str(len(body)),
        **headers,
    }
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
    head = [f"POST {path} HTTP/1.1", *lines]
    with socket.create_connection((url.host, url.port or 80), timeout=30) as raw:
        raw.sendall("\r\n".join([*head, "", ""]).encode() + body)
        yield raw


def answer_of(raw: socket.socket) -> tuple[int, dict[str, str], Any]:
    """Status, headers and JSON body of the response on a socket."""
    with raw.makefile("rb") as file:
        status = int(file.readline().split()[1])
        headers = {}
        while line := file.readline().strip():
            name, _, value = line.decode().partition(": ")
            headers[name.lower()] = value
        return status, headers, json.loads(file.read(int(headers["content-length"])))
