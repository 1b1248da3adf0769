"""Servers to be measured, ours and the peers', each a process of its own."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException

import psutil

from benchmarks.peer_environment import MOST, ROOT, python

KEY = "the-key-of-the-benchmark"
START_S = 30.0
LOOK_S = 0.0005


@dataclass
class Running:
    """A server under measurement."""

    port: int
    process: "subprocess.Popen[bytes]"
    began: float

    def cpu_s(self) -> float:
        """CPU seconds of the server's process."""
        return _cpu_s(psutil.Process(self.process.pid))

    def tree_cpu_s(self) -> float:
        """CPU seconds of the server and its workers."""
        children = psutil.Process(self.process.pid).children()
        return self.cpu_s() + sum(map(_cpu_s, children))

    def stop(self) -> None:
        """End it as an operator would."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(START_S)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Have it and what it started take no processor's time meanwhile."""
        os.killpg(self.process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.killpg(self.process.pid, signal.SIGCONT)

    def first_answer_s(
        self, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> float:
        """Seconds from the start of the process to its first 200 at `path`."""
        until = self.began + START_S
        while time.perf_counter() < until:
            if answers(self.port, path, body, headers):
                return time.perf_counter() - self.began
            time.sleep(LOOK_S)
        raise RuntimeError(f"no answer at {path} within {START_S:g} s")


def answers(
    port: int, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
) -> bool:
    """Whether a request gets a 200."""
    connection = HTTPConnection("127.0.0.1", port, timeout=START_S)
    try:
        connection.request("GET" if body is None else "POST", path, body, dict(headers or {}))
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


@contextmanager
def ours(*flags: str, environ: Mapping[str, str] | None = None) -> Iterator[Running]:
    """Our server, HTTP alone unless told otherwise, with the operations of the tests too."""
    mode = [] if "--mode" in flags else ["--mode", "http"]
    plugins = [ROOT / "tests" / "plugin", ROOT / "benchmarks" / "plugin"]
    with tempfile.TemporaryDirectory() as folder:
        settings = {
            "SENSORIUM_DATA_DIR": folder,
            "PYTHONPATH": os.pathsep.join(map(str, [ROOT / "src", *plugins])),
            **(environ or {}),
        }
        command = [sys.executable, "-m", "sensorium", "serve", *mode, *flags]
        with _running(command, "--port", settings) as running:
            yield running


@contextmanager
def peer(script: str, *arguments: str, environment: str = MOST) -> Iterator[Running]:
    """A peer's server, from `benchmarks/peers`. Its arguments come before the port.

    What it leaves behind when it ends, is ended too.
    """
    path = ROOT / "benchmarks" / "peers" / script
    with _running([str(python(environment)), str(path), *arguments], "", {}) as running:
        try:
            yield running
        finally:
            try:
                running.stop()
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(running.process.pid, signal.SIGKILL)


@contextmanager
def _running(
    command: Sequence[str], port_flag: str, settings: Mapping[str, str]
) -> Iterator[Running]:
    port = free_port()
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SENSORIUM")}
    clean.pop("PYTHONPATH", None)
    began = time.perf_counter()
    process = subprocess.Popen(
        [*command, *filter(None, [port_flag]), str(port)],
        env={**clean, **settings},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    running = Running(port, process, began)
    try:
        yield running
    finally:
        running.stop()


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
