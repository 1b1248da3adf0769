"""Which doors are opened, what happens where one cannot be, and a server that replaces another."""

import os
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import httpx
import msgspec
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from sensorium.cli.serve import doors_of, without_marks
from sensorium.core.errors import SensoriumError
from tests.faults.observing import until
from tests.servers import ROOT, serving

LENGTH = struct.Struct("=I")
WITHIN_S = 20
SERVE = (sys.executable, "-m", "sensorium", "serve")
EXTENSION = "chrome-extension://abcdefghijklmnopabcdefghijklmnop/"


@contextmanager
def taken() -> Iterator[int]:
    """A port on which somebody else listens."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock.getsockname()[1]


def free() -> int:
    with taken() as port:
        return port


def environment(folder: Path, **more: str) -> dict[str, str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith("SENSORIUM_")}
    settings = {"SENSORIUM_DATA_DIR": str(folder), "SENSORIUM_WORKERS": "1"}
    return {**clean, "PYTHONPATH": str(ROOT / "src"), **settings, **more}


def grpc_health(port: int) -> int:
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        answer = stub.Check(health_pb2.HealthCheckRequest(), wait_for_ready=True, timeout=20)
        return int(answer.status)


def test_every_installed_door_is_opened_by_default() -> None:
    with serving("--mode", "all", "--grpc-port", "0") as server, server.client() as http:

        def doors() -> dict[str, str]:
            found: dict[str, str] = http.get("/readyz").json()["doors"]
            return found

        until(lambda: doors().get("grpc", "").startswith("ready"), WITHIN_S, "gRPC is served")
        assert doors()["http"] == doors()["webrtc"] == "ready"
        assert set(doors()) == {"http", "grpc", "webrtc"}
        assert grpc_health(int(doors()["grpc"].rpartition(" ")[2])) == 1


def test_what_modes_mean() -> None:
    assert doors_of("all") == {"http", "grpc", "webrtc"}
    assert doors_of("all", browser=True) == {"http", "grpc", "webrtc", "native"}
    assert doors_of("web") == doors_of("webrtc") == {"http", "webrtc"}
    assert doors_of("native,http") == {"native", "http"}
    assert doors_of("mcp") == {"mcp"}
    for mode in ("mcp,native", "http,mcp", "web,telepathy", ""):
        with pytest.raises(SensoriumError):
            doors_of(mode)


def test_what_a_browser_adds_is_no_option() -> None:
    manifest = "/home/a/.mozilla/native-messaging-hosts/sensorium.json"
    for added in ([EXTENSION], [EXTENSION, "--parent-window=0"], [manifest, "a@b.c"]):
        assert without_marks(["--port", "1", *added]) == (["--port", "1"], True)
    assert without_marks(["--port", "1"]) == (["--port", "1"], False)


def test_a_taken_port_leaves_the_other_doors(tmp_path: Path) -> None:
    own = free()
    with taken() as port:
        process = subprocess.Popen(
            [*SERVE, "--mode", "http,grpc", "--port", str(port), "--grpc-port", str(own)],
            env=environment(tmp_path),
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            assert grpc_health(own) == 1
        finally:
            process.send_signal(signal.SIGTERM)
            _, said = process.communicate(timeout=20)
    assert process.returncode == 0
    assert f"http is not served: cannot listen on 127.0.0.1 port {port}" in said


def test_a_server_without_any_door_does_not_start(tmp_path: Path) -> None:
    with taken() as port:
        done = subprocess.run(
            [*SERVE, "--mode", "http,grpc", "--port", str(port), "--grpc-port", str(port)],
            env=environment(tmp_path),
            capture_output=True,
            text=True,
            timeout=30,
        )
    assert done.returncode == 1
    assert "choose another with --host and --port" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize(("door", "library"), [("webrtc", "aiortc"), ("grpc", "grpc")])
def test_a_missing_extra_is_named_and_the_others_serve(
    tmp_path: Path, door: str, library: str
) -> None:
    hook = (
        "import sys, importlib.util\n"
        "find = importlib.util.find_spec\n"
        f"importlib.util.find_spec = lambda n, p=None: None if n == {library!r} else find(n, p)\n"
        f"sys.modules[{library!r}] = None\n"
    )
    (tmp_path / "sitecustomize.py").write_text(hook)
    places = os.pathsep.join([str(tmp_path), str(ROOT / "src")])
    flags = ("--mode", f"http,{door}", "--grpc-port", "0")
    with serving(*flags, environ={"PYTHONPATH": places}) as server, server.client() as http:
        until(
            lambda: "install" in http.get("/readyz").json()["doors"].get(door, ""),
            WITHIN_S,
            "the door says what is missing",
        )
        assert f"pip install 'sensorium[{door}]'" in http.get("/readyz").json()["doors"][door]
        assert http.post("/v1/system/echo", json={"text": "a"}).json()["text"] == "a"


def test_a_browser_that_starts_us_has_native_messaging_beside_the_rest(tmp_path: Path) -> None:
    port = free()
    process = subprocess.Popen(
        [*SERVE, "--port", str(port), "--grpc-port", "0", EXTENSION],
        env=environment(tmp_path),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    call = msgspec.json.encode({"id": 1, "op": "system.ready"})
    process.stdin.write(LENGTH.pack(len(call)) + call)
    process.stdin.flush()
    (length,) = LENGTH.unpack(process.stdout.read(LENGTH.size))
    doors = msgspec.json.decode(process.stdout.read(length))["data"]["doors"]
    assert doors["native"] == "ready"
    until(lambda: _answers(port), WITHIN_S, "HTTP answers beside it")
    process.communicate(timeout=20)  # the browser leaves: the pipe is closed
    assert process.returncode == 0


def _answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/v1/health").status_code == 200
    except httpx.TransportError:
        return False


class Callers:
    """Clients that call without a break, and what became of their calls."""

    def __init__(self, port: int, grpc_port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.outcomes: Counter[str] = Counter()
        self._over = threading.Event()
        calls = (self._kept, self._fresh, self._slow)
        self._threads = [threading.Thread(target=self._go_on, args=(each,)) for each in calls]
        self._threads.append(threading.Thread(target=self._over_grpc, args=(grpc_port,)))

    def __enter__(self) -> "Callers":
        for each in self._threads:
            each.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for each in self._threads:
            each.join()

    def _go_on(self, call: Callable[[httpx.Client], None]) -> None:
        with httpx.Client(base_url=self.url, timeout=30) as kept:
            while not self._over.is_set():
                try:
                    call(kept)
                    self.outcomes[call.__name__] += 1
                except httpx.HTTPError as error:
                    self.outcomes[f"{call.__name__}: {error!r}"] += 1

    def _kept(self, kept: httpx.Client) -> None:
        kept.post("/v1/system/echo", json={"text": "a"}).raise_for_status()

    def _fresh(self, kept: httpx.Client) -> None:
        httpx.post(f"{self.url}/v1/system/echo", json={"text": "a"}).raise_for_status()

    def _slow(self, kept: httpx.Client) -> None:
        body = {"token": "a", "seconds": 0.3}
        kept.post("/v1/testing/process", json=body).raise_for_status()

    def _over_grpc(self, port: int) -> None:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            echo = channel.unary_unary("/sensorium.v1.SystemService/Echo")
            while not self._over.is_set():
                try:
                    echo(b"", timeout=30)
                    self.outcomes["grpc"] += 1
                except grpc.RpcError as error:
                    self.outcomes[f"grpc: {error.code()}"] += 1


def test_a_replacing_server_refuses_no_call(tmp_path: Path) -> None:
    port, grpc_port = free(), free()
    flags = ["--mode", "all", "--port", str(port), "--grpc-port", str(grpc_port)]
    plugin = os.pathsep.join([str(ROOT / "src"), str(ROOT / "tests" / "plugin")])

    def start(*more: str) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            [*SERVE, *flags, *more],
            env=environment(tmp_path, PYTHONPATH=plugin),
            stderr=subprocess.DEVNULL,
        )

    meeting = tmp_path / "run" / f"127.0.0.1-{port}.sock"
    servers = [start("--replace")]  # where nobody is to be replaced, it just starts
    try:
        until(meeting.exists, WITHIN_S, "the first can be replaced")
        assert grpc_health(grpc_port) == 1
        with Callers(port, grpc_port) as callers:
            until(lambda: min(callers.outcomes.values(), default=0) >= 2, WITHIN_S, "calls come in")
            for _ in range(2):
                old, new = servers[-1], start("--replace")
                servers.append(new)
                assert old.wait(timeout=40) == 0
                until(meeting.exists, WITHIN_S, "the next can be replaced")
            calls = callers.outcomes.total()
            until(lambda: callers.outcomes.total() > calls + 20, WITHIN_S, "calls still come in")
        answered = {"_kept", "_fresh", "_slow", "grpc"}
        refused = {k: v for k, v in callers.outcomes.items() if k not in answered}
        # grpcio's server drops a call that arrives in the very moment in which it stops.
        assert refused.pop("grpc: StatusCode.CANCELLED", 0) <= len(servers) - 1
        assert not refused
        assert answered == callers.outcomes.keys() - {"grpc: StatusCode.CANCELLED"}
        assert servers[-1].poll() is None
    finally:
        for each in servers:
            if each.poll() is None:
                each.send_signal(signal.SIGTERM)
                each.wait(timeout=30)
    assert servers[-1].returncode == 0
    assert not meeting.exists()
