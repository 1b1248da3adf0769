"""Truncated, oversized and random bytes through every door: it answers on, and keeps nothing."""

import json
import operator
import socket
from collections.abc import Iterator
from contextlib import suppress

import httpx
import psutil
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.faults.observing import until
from tests.faults.peers import ON_SOCKETS, Peer, served
from tests.native.running import started
from tests.security.raw import until_closed
from tests.servers import Server

EXAMPLES = 300
BACK_S = 5.0
bounded = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def own() -> Iterator[Server]:
    with served("--workers", "2") as server:
        yield server


@pytest.fixture(scope="module")
def http(own: Server) -> Iterator[httpx.Client]:
    with own.client() as client:
        yield client


@st.composite
def mutated(draw: st.DrawFn, good: bytes, largest: int) -> bytes:
    """Something that was good: cut short, and with a few other bytes in it."""
    kept = bytearray(good[: draw(st.integers(0, len(good)))])
    for _ in range(draw(st.integers(0, 4)) if kept else 0):
        kept[draw(st.integers(0, len(kept) - 1))] = draw(st.integers(0, largest))
    return bytes(kept)


def babble(good: bytes, largest: int = 255) -> st.SearchStrategy[bytes]:
    """What might stand in the place of something good."""
    return st.binary(max_size=600) | mutated(good, largest)


def footing(process: psutil.Process, tasks: int) -> tuple[int, int, int]:
    """What would show that a connection was not ended: descriptors, threads and tasks."""
    return process.num_fds(), process.num_threads(), tasks


def stands(now: tuple[int, int, int], before: tuple[int, int, int]) -> bool:
    return all(map(operator.le, now, before))


@pytest.mark.parametrize("kind", ON_SOCKETS, ids=lambda each: each.name)
def test_through_a_socket(own: Server, http: httpx.Client, kind: type[Peer]) -> None:
    peer = kind(own)
    good = peer.content("inline", {"token": "abc"})
    framed = peer.framed("inline", good)

    def say(sent: bytes) -> None:
        with peer.line() as line:
            with suppress(OSError):  # it may refuse and close before it has heard all of it
                line.sendall(sent)
                line.shutdown(socket.SHUT_WR)
            until_closed(line)

    contents = babble(good).map(lambda content: peer.framed("inline", content))

    @bounded
    @given(contents | babble(framed, peer.largest_byte))
    def said(sent: bytes) -> None:
        say(sent)

    def now() -> tuple[int, int, int]:
        return footing(peer.process, http.get("/v1/testing/tasks").json()["index"])

    for number in range(16):
        assert peer.echo(f"before {number}") == f"before {number}"
    before = now()
    for sent in peer.oversized():
        say(sent)
    said()
    assert peer.echo("after") == "after"
    until(lambda: stands(now(), before), BACK_S, f"as {before}; it is {now()}")
    assert not [line for line in own.log if "Traceback" in line]


def test_through_native_messaging() -> None:
    good = json.dumps({"id": 1, "op": "testing.inline", "data": {"token": "abc"}}).encode()
    with started(SENSORIUM_WORKERS="1") as host:
        process = psutil.Process(host.process.pid)

        def echo() -> None:
            host.send({"id": "ours", "op": "testing.inline", "data": {"token": "abc"}})
            while (heard := host.receive())["id"] != "ours":
                pass
            assert heard["data"]["token"] == "abc"

        @bounded
        @given(babble(good))
        def said(sent: bytes) -> None:
            host.send_bytes(sent)
            echo()

        def now() -> tuple[int, int, int]:
            return footing(process, host.call("testing.tasks", {})["data"]["index"])

        def is_settled() -> bool:
            return bool(host.call("system.ready", {})["data"]["workers"]["alive"] == 1)

        until(is_settled, BACK_S)
        echo()
        before = now()
        said()
        until(lambda: stands(now(), before), BACK_S)
        assert "Traceback" not in host.log.read_text()


@pytest.mark.parametrize(
    "sent", [b"\x01", b"\xff\xff\xff\xff{", b"\x09\x00\x00\x00{}", b"\x00" * 9]
)
def test_native_messaging_that_breaks_off(sent: bytes) -> None:
    with started(SENSORIUM_WORKERS="1") as host:
        host.send_bytes(b"{}")
        assert host.receive()["error"]["code"] == "invalid_input"
        host.send_raw(sent)
        assert host.leave() == 0
        assert "Traceback" not in host.log.read_text()
