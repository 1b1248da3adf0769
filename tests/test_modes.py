"""Which doors are opened, and what happens where one cannot be."""

import os
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import httpx
import msgspec
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from sensorium.cli.serve import doors_of, parse, without_marks
from sensorium.core.errors import SensoriumError
from tests.faults.observing import until
from tests.servers import ROOT, reserved_port, serving

LENGTH = struct.Struct("=I")
WITHIN_S = 20
SERVE = (sys.executable, "-m", "sensorium", "serve")
EXTENSION = "chrome-extension://abcdefghijklmnopabcdefghijklmnop/"


@contextmanager
def taken() -> Iterator[int]:
    """A port on which somebody else listens."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock.getsockname()[1]


@pytest.fixture
def port() -> Iterator[int]:
    with reserved_port() as reserved:
        yield reserved


def environment(folder: Path, **more: str) -> dict[str, str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith("SENSORIUM_")}
    settings = {"SENSORIUM_DATA_DIR": str(folder), "SENSORIUM_WORKERS": "1"}
    return {**clean, "PYTHONPATH": str(ROOT / "src"), **settings, **more}


def grpc_health(port: int) -> int:
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        answer = stub.Check(health_pb2.HealthCheckRequest(), wait_for_ready=True, timeout=60)
        return int(answer.status)


def test_every_installed_door_is_opened_by_default() -> None:
    with serving("--mode", "all", "--grpc-port", "0") as server, server.client() as http:

        def doors() -> dict[str, str]:
            found: dict[str, str] = http.get("/readyz").json()["doors"]
            return found

        until(lambda: doors().get("grpc") == "ready", WITHIN_S, "gRPC is served")
        assert set(doors().values()) == {"ready"}
        assert set(doors()) == {"http", "grpc", "webrtc"}
        assert grpc_health(http.get("/readyz").json()["ports"]["grpc"]) == 1


def test_what_modes_mean() -> None:
    assert doors_of("all") == {"http", "grpc", "webrtc"}
    assert doors_of("all", browser=True) == {"http", "grpc", "webrtc", "native"}
    assert doors_of("web") == doors_of("webrtc") == {"http", "webrtc"}
    assert doors_of("native,http") == doors_of(" HTTP, native") == {"native", "http"}
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
    with reserved_port() as own, taken() as port:
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
            _, said = process.communicate(timeout=60)
    assert process.returncode == 0
    assert f"http is not served: cannot listen on 127.0.0.1 port {port}" in said


def test_a_server_without_any_door_does_not_start(tmp_path: Path) -> None:
    with taken() as port:
        done = subprocess.run(
            [*SERVE, "--mode", "http,grpc", "--port", str(port), "--grpc-port", str(port)],
            env=environment(tmp_path),
            capture_output=True,
            text=True,
            timeout=60,
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


def test_a_browser_that_starts_us_has_native_messaging_beside_the_rest(
    tmp_path: Path, port: int
) -> None:
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
    process.communicate(timeout=60)  # the browser leaves: the pipe is closed
    assert process.returncode == 0


def _answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/v1/health", timeout=30).status_code == 200
    except httpx.TransportError:
        return False


def test_http_that_fails_leaves_the_browser_its_door(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [*SERVE, "--mode", "http,native", "--port", "0", "--tls-certificate", "nowhere.pem"],
        env=environment(tmp_path),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None

    def ready() -> bool:
        call = msgspec.json.encode({"id": 1, "op": "system.ready"})
        process.stdin.write(LENGTH.pack(len(call)) + call)
        process.stdin.flush()
        (length,) = LENGTH.unpack(process.stdout.read(LENGTH.size))
        return bool(msgspec.json.decode(process.stdout.read(length))["data"]["ready"])

    until(ready, WITHIN_S, "its workers are up all the same")
    _, said = process.communicate(timeout=60)
    assert process.returncode == 0
    assert b"http is not served: the TLS certificate cannot be used" in said


@pytest.mark.parametrize("redirected", ["</dev/null", "<&-", ">/dev/null </dev/zero"])
def test_native_messaging_wants_pipes(tmp_path: Path, redirected: str) -> None:
    command = f"{sys.executable} -m sensorium serve --mode native {redirected}"
    done = subprocess.run(
        ["bash", "-c", command],
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert "a browser starts it" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--prot", "1"], "Unknown option: --prot. Did you mean --port?"),
        (["--prot=1"], "Unknown option: --prot. Did you mean --port?"),
        (
            ["--max-body-byte", "1"],
            "Unknown option: --max-body-byte. Did you mean --max-body-bytes?",
        ),
        (["--nonsense", "1"], "Unknown option: --nonsense."),
        (["nonsense"], "'nonsense' is not an option."),
        (["--port"], "--port needs a value."),
    ],
)
def test_an_option_that_is_none(tmp_path: Path, words: list[str], said: str) -> None:
    (tmp_path / "sensorium.toml").write_text("[nonsense]\n")  # nothing is looked up before
    done = subprocess.run(
        [*SERVE, *words],
        cwd=tmp_path,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"sensorium: {said} See `sensorium serve --help`.\n"


def test_a_setting_that_makes_no_sense_opens_no_door(tmp_path: Path) -> None:
    done = subprocess.run(
        [*SERVE, "--mode", "web", "--port", "0", "--static-dir", "nowhere"],
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert "there is no such folder" in done.stderr


@pytest.mark.parametrize("mode", ["http", "grpc", "http,grpc"])
@pytest.mark.parametrize("damage", ["keys", "folder"])
def test_a_data_folder_that_is_none_ends_the_start(tmp_path: Path, mode: str, damage: str) -> None:
    """It shows once a door listens, when the keys are read: none is left open then."""
    folder = tmp_path / "data"
    if damage == "keys":
        folder.mkdir()
        (folder / "keys.json").write_text("{broken")
    else:
        folder.write_text("a file")
    ports = ("--port", "0", "--grpc-port", "0")
    ran = subprocess.run(
        [*SERVE, "--mode", mode, *ports, "--data-dir", str(folder)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 1
    assert "keys.json in the data folder" in ran.stderr


@pytest.mark.parametrize(
    ("arguments", "flags"),
    [
        (["--pull-files", "--port", "9"], {"pull_files": True, "port": "9"}),
        (["--offline"], {"offline": True}),
        (["--fetch-images", "false", "--warm"], {"fetch_images": "false", "warm": True}),
        (["--offline=true", "--replace"], {"offline": "true", "replace": True}),
    ],
)
def test_what_is_on_or_off_needs_no_value(arguments: list[str], flags: dict[str, object]) -> None:
    assert parse(arguments) == flags
