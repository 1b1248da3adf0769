"""A real server in a process of its own, for tests."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

ROOT = Path(__file__).parent.parent
PLUGIN = ROOT / "tests" / "plugin"
START_S = 60


@dataclass
class Server:
    """A running server."""

    url: str
    process: "subprocess.Popen[str]"
    data_dir: Path
    log: list[str] = field(default_factory=list)
    reader: threading.Thread | None = None

    @property
    def ws_url(self) -> str:
        """Where its WebSocket door is."""
        return self.url.replace("http", "ws", 1) + "/v1/ws"

    def client(self, **options: object) -> httpx.Client:
        """A client for it."""
        return httpx.Client(base_url=self.url, **{"timeout": 30.0, **options})  # type: ignore[arg-type]

    def port(self, door: str) -> int:
        """The port of a door that has one of its own, once it is open."""
        until = time.monotonic() + START_S
        with self.client() as http:
            while time.monotonic() < until:
                ports: dict[str, int] = http.get("/readyz").json()["ports"]
                if door in ports:
                    return ports[door]
                time.sleep(0.02)
        raise RuntimeError(f"{door} was not opened:\n" + "".join(self.log))

    def wait_until_ready(self) -> None:
        """Return when it says that it is ready, with all its workers."""
        until = time.monotonic() + START_S
        with self.client() as http:
            while time.monotonic() < until:
                workers = http.get("/readyz").json()["workers"]
                if workers["alive"] == workers["wanted"]:
                    return
                time.sleep(0.02)
        raise RuntimeError("the server did not become ready:\n" + "".join(self.log))

    def logged(self, *parts: str) -> bool:
        """Whether a line with all these parts was logged, or is soon."""
        until = time.monotonic() + START_S
        while time.monotonic() < until:
            if any(all(part in line for part in parts) for line in list(self.log)):
                return True
            time.sleep(0.02)
        return False

    def whole_log(self) -> list[str]:
        """All that it ever logged: it is stopped for it, as what is written is read a moment later.

        What has to be in `log`, or must not be, can only be told of this.
        """
        self.stop()
        assert self.reader is not None
        self.reader.join(START_S)
        assert not self.reader.is_alive(), "somebody holds the server's standard error open"
        return self.log

    def stop(self, timeout_s: float = 60) -> int:
        """Stop it as an operator would; returns its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout_s)


@contextmanager
def reserved_port() -> Iterator[int]:
    """A port that the system gives to nobody else meanwhile; whoever names it may listen there."""
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", 0))
        yield int(sock.getsockname()[1])


@contextmanager
def serving(
    *flags: str, environ: dict[str, str] | None = None, ready: bool = True
) -> Iterator[Server]:
    """A server on a free port, with a data folder of its own; stopped at the end.

    It has HTTP alone, unless the flags say otherwise.
    """
    mode = [] if "--mode" in flags else ["--mode", "http"]
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            [sys.executable, "-m", "sensorium", "serve", "--port", "0", *mode, *flags],
            stderr=subprocess.PIPE,
            text=True,
            cwd=folder,
            env={
                **{k: v for k, v in os.environ.items() if not k.startswith("SENSORIUM_")},
                "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(PLUGIN)]),
                "SENSORIUM_DATA_DIR": folder,
                **(environ or {}),
            },
        )
        server = Server("", process, Path(folder))
        listening = threading.Event()
        server.reader = threading.Thread(target=_read, args=(server, listening), daemon=True)
        server.reader.start()
        try:
            if not listening.wait(START_S) or not server.url:
                raise RuntimeError("the server did not start:\n" + "".join(server.log))
            if ready:
                server.wait_until_ready()
            yield server
        finally:
            server.stop()
            server.reader.join(5)
            assert process.stderr is not None
            process.stderr.close()


def _read(server: Server, listening: threading.Event) -> None:
    assert server.process.stderr is not None
    for line in server.process.stderr:
        server.log.append(line)
        if line.startswith("Sensorium is at "):
            server.url = line.split()[-1]
            listening.set()
    listening.set()
