"""A server that takes the place of another while calls come in."""

import os
import signal
import socket
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import httpx
import psutil
import pytest

from tests.faults.observing import until
from tests.servers import ROOT, reserved_port
from tests.test_modes import SERVE, WITHIN_S, environment, grpc_health

DROPPED = ("CANCELLED", "UNAVAILABLE")
PLUGIN = os.pathsep.join([str(ROOT / "src"), str(ROOT / "tests" / "plugin")])


@dataclass
class Servers:
    """Servers of one data folder, each in the place of the one before."""

    folder: Path
    port: int
    flags: tuple[str, ...] = ()
    started: "list[subprocess.Popen[str]]" = field(default_factory=list)

    def start(self, *more: str) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [*SERVE, "--port", str(self.port), *self.flags, *more],
            env=environment(self.folder, PYTHONPATH=PLUGIN),
            stderr=subprocess.PIPE,
            text=True,
        )
        self.started.append(process)
        return process

    def meeting(self, host: str = "127.0.0.1") -> Path:
        """Where the one that runs can be met."""
        return self.folder / "run" / f"{host}-{self.port}.sock"

    def can_be_replaced(self) -> None:
        until(self.meeting().exists, WITHIN_S, "it can be replaced")


@contextmanager
def servers(folder: Path, *flags: str) -> Iterator[Servers]:
    with reserved_port() as port:
        made = Servers(folder, port, flags)
        try:
            yield made
        finally:
            for each in made.started:
                if each.poll() is None:
                    each.send_signal(signal.SIGTERM)
                each.communicate(timeout=60)


@pytest.fixture
def grpc_port() -> Iterator[int]:
    with reserved_port() as reserved:
        yield reserved


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
                except httpx.HTTPStatusError as error:
                    self.outcomes[f"{call.__name__}: {error.response.text}"] += 1
                except httpx.HTTPError as error:
                    self.outcomes[f"{call.__name__}: {error!r}"] += 1

    def _kept(self, kept: httpx.Client) -> None:
        kept.post("/v1/system/echo", json={"text": "a"}).raise_for_status()

    def _fresh(self, kept: httpx.Client) -> None:  # of a plugin, which is looked for first
        url = f"{self.url}/v1/testing/inline"
        httpx.post(url, json={"token": "a"}, timeout=30).raise_for_status()

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


def test_a_replacing_server_refuses_no_call(tmp_path: Path, grpc_port: int) -> None:
    with servers(tmp_path, "--mode", "all", "--grpc-port", str(grpc_port)) as house:
        house.start("--replace")  # where nobody is to be replaced, it just starts
        house.can_be_replaced()
        assert grpc_health(grpc_port) == 1
        with Callers(house.port, grpc_port) as callers:
            until(lambda: min(callers.outcomes.values(), default=0) >= 2, WITHIN_S, "calls come in")
            for _ in range(2):
                old, _ = house.started[-1], house.start("--replace")
                assert old.wait(timeout=60) == 0
                house.can_be_replaced()
            calls = callers.outcomes.total()
            until(lambda: callers.outcomes.total() > calls + 20, WITHIN_S, "calls still come in")
        answered = {"_kept", "_fresh", "_slow", "grpc"}
        refused = {k: v for k, v in callers.outcomes.items() if k not in answered}
        # grpcio's server drops a call that arrives in the very moment in which it stops.
        dropped = [refused.pop(f"grpc: StatusCode.{code}", 0) for code in DROPPED]
        assert sum(dropped) <= len(house.started) - 1
        assert not refused
        assert answered <= callers.outcomes.keys()
        last = house.started[-1]
        assert last.poll() is None
        last.send_signal(signal.SIGTERM)
        assert last.wait(timeout=60) == 0
    assert not house.meeting().exists()


def test_a_request_on_its_way_is_answered_by_the_one_that_leaves(tmp_path: Path) -> None:
    with servers(tmp_path, "--mode", "http") as house:
        old = house.start()
        house.can_be_replaced()
        with socket.create_connection(("127.0.0.1", house.port)) as half:
            half.sendall(b"GET /v1/health HTTP/1.1\r\nHost: 127.0.0.1\r\n")
            house.start("--replace")
            until(lambda: not _listens(old), WITHIN_S, "the old one leaves")
            assert old.poll() is None  # it waits for the rest
            half.sendall(b"\r\n")
            answer = half.recv(65536)
        assert answer.startswith(b"HTTP/1.1 200")
        assert b"connection: close" in answer.lower()
        assert old.wait(timeout=60) == 0


def _listens(process: "subprocess.Popen[str]") -> bool:
    connections = psutil.Process(process.pid).net_connections("tcp")
    return any(each.status == psutil.CONN_LISTEN for each in connections)


def test_only_the_server_at_that_very_address_is_replaced(tmp_path: Path) -> None:
    """One that listens to the world has other rules on keys than one on loopback."""
    with servers(tmp_path, "--mode", "http") as house:
        public = house.start("--host", "0.0.0.0")
        until(house.meeting("0.0.0.0").exists, WITHIN_S, "it can be replaced")
        other = house.start("--replace")
        assert other.wait(timeout=60) == 1
        assert "cannot be replaced: it is another program" in other.communicate()[1]
        assert public.poll() is None
        # The same, where somebody gave the one the name of the other.
        house.meeting().symlink_to(house.meeting("0.0.0.0"))
        other = house.start("--replace")
        assert other.wait(timeout=60) == 1
        assert "has another address" in other.communicate()[1]
        assert public.poll() is None
        url = f"http://127.0.0.1:{house.port}/v1/system/echo"
        assert httpx.post(url, json={}).status_code == 401


def test_two_that_replace_at_once_take_turns(tmp_path: Path) -> None:
    with servers(tmp_path, "--mode", "http") as house:
        house.start()
        house.can_be_replaced()
        house.start("--replace")
        house.start("--replace")

        def alone() -> bool:
            return sum(each.poll() is None for each in house.started) == 1

        until(alone, 2 * WITHIN_S, "one is left")
        assert [each.returncode for each in house.started if each.poll() is not None] == [0, 0]
        assert httpx.get(f"http://127.0.0.1:{house.port}/v1/health").status_code == 200


def test_a_replacing_server_that_is_killed_leaves_the_old_one(tmp_path: Path) -> None:
    with servers(tmp_path, "--mode", "http") as house:
        old = house.start()
        house.can_be_replaced()
        with socket.socket(socket.AF_UNIX) as taker:  # has the socket, and says nothing more
            taker.connect(str(house.meeting()))
            assert taker.recv(16).startswith(b"hello")
        assert httpx.get(f"http://127.0.0.1:{house.port}/v1/health").status_code == 200
        house.start("--replace")
        assert old.wait(timeout=60) == 0


def test_the_port_of_grpc_is_shared_with_the_replaced_server_alone(
    tmp_path: Path, grpc_port: int
) -> None:
    with servers(tmp_path, "--grpc-port", str(grpc_port)) as house:
        house.start("--mode", "http")
        house.can_be_replaced()
        other = house.start("--mode", "grpc")  # somebody else's, at that port
        assert grpc_health(grpc_port) == 1
        new = house.start("--mode", "all", "--replace")
        assert house.started[0].wait(timeout=60) == 0
        with httpx.Client(base_url=f"http://127.0.0.1:{house.port}") as http:
            ready = http.get("/readyz").json()
        assert "cannot listen" in ready["doors"]["grpc"]
        assert ready["ports"] == {"http": house.port}
        assert other.poll() is None
        assert new.poll() is None


@pytest.mark.parametrize("flags", [("--mode", "grpc"), ("--mode", "http", "--port", "0")])
def test_what_cannot_be_replaced_is_said(tmp_path: Path, flags: tuple[str, ...]) -> None:
    with servers(tmp_path) as house:
        refused = house.start("--replace", *flags)
        assert refused.wait(timeout=60) == 1
        assert "--replace" in refused.communicate()[1]
