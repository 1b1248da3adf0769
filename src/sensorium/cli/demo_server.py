"""A server in a process of its own, with a data folder of its own, for as long as it is needed."""

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from sensorium.client import Sensorium
from sensorium.core.errors import UnavailableError

START_S = 60.0
STOP_S = 20.0
POLL_S = 0.05
SAID = "Sensorium is at "
LAST_WORDS = 20


@dataclass
class Started:
    """A server that is ready, and how long that took."""

    pid: int
    url: str = ""
    seconds: float = 0.0
    said: list[str] = field(default_factory=list)
    """What it printed so far."""


@contextmanager
def started() -> Iterator[Started]:
    """A server on a free port, ready and warm; it is stopped whatever happens.

    Raises:
        UnavailableError: it did not start; holds its last words.
    """
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="sensorium-demo-") as folder:
        process = subprocess.Popen(
            [sys.executable, "-m", "sensorium", "serve", "--mode", "http", "--port", "0", "--warm"],
            stderr=subprocess.PIPE,
            text=True,
            cwd=folder,
            env=_environment(folder),
        )
        server = Started(process.pid)
        listening = threading.Event()
        reader = threading.Thread(target=_read, args=(process, server, listening), daemon=True)
        reader.start()
        try:
            if not listening.wait(START_S) or not server.url:
                raise UnavailableError("\n".join(["the server did not start:", *server.said]))
            _wait_until_ready(server)
            server.seconds = time.perf_counter() - begin
            yield server
        finally:
            _stop(process)
            reader.join(STOP_S)


def _environment(folder: str) -> dict[str, str]:
    """This process's, without settings that would make it another server."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("SENSORIUM_")}
    return {**kept, "SENSORIUM_DATA_DIR": folder}


def _read(process: "subprocess.Popen[str]", server: Started, listening: threading.Event) -> None:
    assert process.stderr is not None
    with process.stderr as lines:
        for line in lines:
            server.said = [*server.said, line.rstrip()][-LAST_WORDS:]
            if line.startswith(SAID):
                server.url = line.removeprefix(SAID).strip()
                listening.set()
    listening.set()


def _wait_until_ready(server: Started) -> None:
    until = time.monotonic() + START_S
    with Sensorium(server.url) as client:
        while time.monotonic() < until:
            if client.system.ready().ready:
                return
            time.sleep(POLL_S)
    raise UnavailableError("\n".join(["the server did not become ready:", *server.said]))


def _stop(process: "subprocess.Popen[str]") -> None:
    process.terminate()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
