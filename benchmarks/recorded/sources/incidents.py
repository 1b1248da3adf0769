"""Record a service's figures once a second while a few real incidents are induced.

`python -m benchmarks.recorded.sources.incidents --into DIR` runs 36 minutes; `--scale` shortens it.
Every incident is a real cause (buyers leave or come, a process is stopped, memory is held, reports
are asked for), never an edited number.
"""

import argparse
import csv
import http.client
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

BUYERS = 24
FIELDS = [
    "timestamp",
    "cpu_percent",
    "memory_mib",
    "latency_ms",
    "connections",
    "requests_per_s",
    "errors_per_s",
]


@dataclass(frozen=True)
class Incident:
    """What is induced, from when to when (seconds after the start), and what it shows in."""

    name: str
    begin_s: float
    end_s: float
    shows_in: tuple[str, ...]
    cause: str


INCIDENTS = [
    Incident(
        "cpu burn", 780, 840, ("cpu_percent",), "one client asked for long reports back to back"
    ),
    Incident(
        "backend stopped",
        1020,
        1065,
        ("latency_ms", "errors_per_s"),
        "the backend process was stopped with SIGSTOP and continued with SIGCONT",
    ),
    Incident(
        "memory held",
        1290,
        1350,
        ("memory_mib",),
        "an import of 96 MiB was held in memory, then released",
    ),
    Incident(
        "traffic drop", 1560, 1620, ("connections", "requests_per_s"), "20 of the 24 clients left"
    ),
    Incident(
        "traffic surge",
        1830,
        1875,
        ("connections", "requests_per_s"),
        "48 clients came on top of the 24",
    ),
]
LENGTH_S = 2160


class Bench:
    """The three processes of a run and the ports they talk on."""

    def __init__(self, folder: Path, port: int, seconds: float) -> None:
        self.folder = folder
        self.port = port
        self.plan = folder / "plan"
        self.plan.write_text(str(BUYERS))
        (folder / "pictures").mkdir()
        prices = {"version": 7, "prices": {"SKU-0001": 990}}
        (folder / "prices.json").write_text(json.dumps(prices))
        self.log = (folder / "shop.log").open("wb")
        self.backend = self.start("backend", "--port", str(port + 1))
        self.shop = self.start(
            "shop",
            "--port",
            str(port),
            "--backend",
            str(port + 1),
            "--mail",
            str(port + 2),
            "--folder",
            str(folder),
            "--pictures",
            str(folder / "pictures"),
            "--no-access",
            "--log-level",
            "WARNING",
        )
        time.sleep(3)
        self.load = self.start(
            "shop_load",
            "--port",
            str(port),
            "--plan",
            str(self.plan),
            "--bad",
            "0.002",
            "--seconds",
            str(seconds),
        )

    def start(self, module: str, *arguments: str) -> subprocess.Popen[bytes]:
        """Start one program of this package."""
        command = [sys.executable, "-m", f"benchmarks.recorded.sources.{module}", *arguments]
        return subprocess.Popen(command, stdout=self.log, stderr=subprocess.STDOUT)

    def stop(self) -> None:
        """End what was started, by its own handle."""
        self.backend.send_signal(signal.SIGCONT)
        for process in (self.load, self.shop, self.backend):
            process.terminate()
        for process in (self.load, self.shop, self.backend):
            process.wait(10)
        self.log.close()


def call(bench: Bench, method: str, path: str) -> bytes:
    """One request to the shop."""
    connection = http.client.HTTPConnection("127.0.0.1", bench.port, timeout=20)
    connection.request(method, path)
    body = connection.getresponse().read()
    connection.close()
    return body


def burn(bench: Bench, until: float) -> None:
    """Ask for long reports until that time."""
    while time.time() < until:
        call(bench, "GET", "/report?rows=700000&for=finance")


def begin(bench: Bench, incident: Incident, until: float) -> None:
    """Induce the incident; only the burn has to know how long."""
    match incident.name:
        case "cpu burn":
            threading.Thread(target=burn, args=(bench, until), daemon=True).start()
        case "backend stopped":
            bench.backend.send_signal(signal.SIGSTOP)
        case "memory held":
            call(bench, "POST", "/import?mib=96")
        case "traffic drop":
            bench.plan.write_text("4")
        case "traffic surge":
            bench.plan.write_text(str(BUYERS + 48))


def end(bench: Bench, incident: Incident) -> None:
    """Undo it."""
    match incident.name:
        case "backend stopped":
            bench.backend.send_signal(signal.SIGCONT)
        case "memory held":
            call(bench, "POST", "/import?mib=0")
        case "traffic drop" | "traffic surge":
            bench.plan.write_text(str(BUYERS))


class Sampler:
    """Figures of the shop's process, once a second."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.pid = bench.shop.pid
        self.connection = http.client.HTTPConnection("127.0.0.1", bench.port, timeout=20)
        self.last = (time.monotonic(), self.cpu_s(), *self.figures()[:2])

    def cpu_s(self) -> float:
        """CPU time of all threads so far, in seconds."""
        tasks = Path(f"/proc/{self.pid}/task").iterdir()
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9

    def memory_mib(self) -> float:
        """Resident memory in MiB."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

    def figures(self) -> tuple[int, int, int, list[float]]:
        """Requests served and failed, connections without this one, latencies in ms."""
        self.connection.request("GET", "/figures")
        found = json.loads(self.connection.getresponse().read())
        return (found["served"], found["failed"], found["connections"] - 1, found["latencies_ms"])

    def row(self, timestamp: int) -> list[str]:
        """One line of the CSV; latency is empty when nothing was served."""
        cpu = self.cpu_s()
        served, failed, connections, latencies = self.figures()
        now = time.monotonic()
        then, cpu_then, served_then, failed_then = self.last
        self.last = (now, cpu, served, failed)
        span = now - then
        latency = f"{statistics.median(latencies):.2f}" if latencies else ""
        return [
            str(timestamp),
            f"{100 * max(0.0, cpu - cpu_then) / span:.2f}",
            f"{self.memory_mib():.2f}",
            latency,
            str(connections),
            f"{(served - served_then) / span:.2f}",
            f"{(failed - failed_then) / span:.2f}",
        ]


def record(into: Path, port: int, scale: float) -> None:
    """Run, induce, sample and write `metrics.csv` and `incidents.json`."""
    length_s = LENGTH_S * scale
    into.mkdir(parents=True, exist_ok=True)
    waiting = list(INCIDENTS)
    running: list[tuple[Incident, float]] = []
    past: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as folder, (into / "metrics.csv").open("w") as file:
        bench = Bench(Path(folder), port, length_s + 60)
        try:
            time.sleep(20)
            sampler = Sampler(bench)
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(FIELDS)
            began = time.time() // 1 + 1
            for second in range(int(length_s)):
                time.sleep(max(0.0, began + second - time.time()))
                for incident, at in [r for r in running if second >= r[0].end_s * scale]:
                    end(bench, incident)
                    running.remove((incident, at))
                    past.append(
                        {
                            "name": incident.name,
                            "begin": int(at),
                            "end": int(began + second),
                            "shows_in": incident.shows_in,
                            "cause": incident.cause,
                        }
                    )
                    (into / "incidents.json").write_text(json.dumps(past, indent=2) + "\n")
                while waiting and second >= waiting[0].begin_s * scale:
                    incident = waiting.pop(0)
                    running.append((incident, began + second))
                    begin(bench, incident, began + incident.end_s * scale)
                writer.writerow(sampler.row(int(began + second)))
                file.flush()
        finally:
            bench.stop()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--into", required=True)
    parser.add_argument("--port", type=int, default=9301)
    parser.add_argument("--scale", type=float, default=1.0)
    options = parser.parse_args()
    record(Path(options.into), options.port, options.scale)
