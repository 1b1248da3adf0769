"""A client that does not read costs the server neither memory nor other clients' time."""

import json
import select
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import Any

import httpx
import psutil
import pytest
from websockets.sync.client import connect

from tests.faults.observing import answer_of, figure, in_flight, posted, until
from tests.faults.peers import Grpc, served, vanish
from tests.grpc import raw as http2
from tests.native.running import Host, started
from tests.servers import Server, serving

GROWTH_MIB = 48
ITEMS = 2_000_000
FLOOD = json.dumps({"count": ITEMS}).encode()


@pytest.fixture(scope="module")
def every_door() -> Iterator[Server]:
    with served("--workers", "2") as server:
        yield server


def memory_mib(server: Server | Host) -> float:
    """Resident memory of the server and its workers."""
    main = psutil.Process(server.process.pid)
    total = main.memory_info().rss
    for child in main.children():
        with suppress(psutil.NoSuchProcess):  # it is being replaced
            total += child.memory_info().rss
    return float(total) / 2**20


def steady(server: Server | Host) -> float:
    """Its memory once that stands still, with every worker there: a second without growth."""
    seen = [memory_mib(server)]
    since = time.monotonic()

    def still() -> bool:
        nonlocal since
        now = memory_mib(server)
        if now > seen[-1] + 0.25:
            seen.append(now)
            since = time.monotonic()
        return time.monotonic() - since > 1

    until(still, 20, f"memory stands still: {seen}")
    return seen[-1]


def test_over_http() -> None:
    for verb in ("count", "count_async"):
        with serving("--workers", "2") as own, own.client() as http:
            http.post(f"/v1/testing/{verb}", json={"count": 10})
            before = steady(own)
            with (
                posted(own, f"/v1/testing/{verb}", FLOOD),
                posted(own, f"/v1/testing/{verb}", FLOOD),
            ):
                until(lambda verb=verb, http=http: in_flight(http, f"testing.{verb}") == 2, 5)
                assert steady(own) - before < GROWTH_MIB
                _assert_others_are_served(http)
            until(lambda verb=verb, http=http: in_flight(http, f"testing.{verb}") == 0, 2)


def test_over_a_websocket() -> None:
    with serving("--workers", "2") as own, own.client() as http:
        http.post("/v1/testing/count", json={"count": 10})
        before = steady(own)
        url = httpx.URL(own.ws_url)
        with (
            socket.create_connection((url.host, url.port or 80)) as raw,
            connect(own.ws_url, sock=raw, max_queue=1) as silent,
        ):
            silent.send(json.dumps({"id": 1, "op": "testing.count", "data": {"count": ITEMS}}))
            until(lambda: in_flight(http, "testing.count") == 1, 5)
            assert steady(own) - before < GROWTH_MIB
            _assert_others_are_served(http)
            raw.shutdown(socket.SHUT_RDWR)
        until(lambda: in_flight(http, "testing.count") == 0, 2)


@pytest.mark.parametrize(
    ("verb", "opening"),
    [("count", http2.OPENING), ("count", http2.WIDE), ("count_async", http2.WIDE)],
    ids=["narrow", "wide", "wide, from the loop"],
)
def test_over_grpc(every_door: Server, verb: str, opening: bytes) -> None:
    """Whatever the client says that it would take: it takes nothing."""
    peer = Grpc(every_door)
    peer.opening = opening
    with every_door.client() as http:
        http.post(f"/v1/testing/{verb}", json={"count": 10})
        before = steady(every_door)
        with peer.line(reads=False) as line:
            line.sendall(peer.begin(verb, {"count": ITEMS}))
            until(lambda: in_flight(http, f"testing.{verb}") == 1, 5)
            assert steady(every_door) - before < GROWTH_MIB
            assert in_flight(http, f"testing.{verb}") == 1
            _assert_others_are_served(http)
            assert peer.echo("grpc too") == "grpc too"
            vanish(line)
        until(lambda: in_flight(http, f"testing.{verb}") == 0, 2)


@pytest.mark.parametrize("verb", ["count", "count_async"])
def test_over_native_messaging(verb: str) -> None:
    """There are no others, but the one there is may come to its senses, or close."""
    with started(SENSORIUM_WORKERS="2") as host:
        until(host.all_alive, 10)
        host.send({"id": 0, "op": f"testing.{verb}", "data": {"count": 0}})
        assert host.receive() == {"id": 0, "end": {}}
        before = steady(host)
        host.send({"id": 1, "op": f"testing.{verb}", "data": {"count": ITEMS}})
        assert steady(host) - before < GROWTH_MIB
        heard = [host.receive()["chunk"]["index"] for _ in range(10_000)]
        assert heard == list(range(10_000))
        assert host.leave() == 0


def test_items_for_a_call_that_is_slow_to_take_them_wait_with_their_sender() -> None:
    """A listening call that is not read stops reading, and so does the server."""
    with serving("--workers", "2") as own, own.client() as http:
        http.post("/v1/testing/mirror", content=b'{"token": "a"}')
        before = steady(own)
        line = json.dumps({"token": "x" * 100_000}).encode() + b"\n"
        sent = 0
        with posted(
            own, "/v1/testing/mirror", b"", "application/x-ndjson", content_length="1000000000"
        ) as raw:
            raw.settimeout(1)
            try:
                while sent < 400_000_000:
                    sent += raw.send(line)
            except TimeoutError:
                pass
            assert sent < 150_000_000
            assert steady(own) - before < 150
            _assert_others_are_served(http)


def test_what_follows_a_call_that_failed_while_items_waited() -> None:
    """The reader of a connection never waits for a call that is over."""
    with serving("--workers", "2") as own, connect(own.ws_url) as ws:
        ws.send('{"id": 1, "op": "testing.mirror", "data": {}, "deadline_s": 30}')
        for _ in range(500):
            ws.send('{"id": 1, "chunk": {"token": 1}}')
        ws.send('{"id": 2, "op": "testing.inline", "data": {"token": "after"}}')
        first: dict[int, dict[str, Any]] = {}
        while len(first) < 2:
            answer = json.loads(ws.recv(30))
            first.setdefault(answer["id"], answer)
        assert first[1]["error"]["code"] == "invalid_input"
        assert first[2]["data"]["token"] == "after"


def test_the_bodies_that_are_held_are_bounded_together() -> None:
    """Four bodies of which three fit: whichever comes last is refused, the others may go on."""
    half = b'{"token": "' + b"x" * 900_000
    with (
        serving("--workers", "2", "--max-pending-bytes", "3000000") as own,
        own.client() as http,
        ExitStack() as stack,
    ):
        path = "/v1/testing/process"
        held = [
            stack.enter_context(posted(own, path, half, content_length=str(len(half) + 2)))
            for _ in range(4)
        ]
        refused, _, _ = select.select(held, [], [], 60)
        assert len(refused) == 1
        status, headers, problem = answer_of(refused[0])
        assert (status, problem["code"]) == (503, "overloaded")
        assert headers["retry-after"] == "1"
        for raw in held:
            if raw not in refused:
                raw.sendall(b'"}')
                assert answer_of(raw)[0] == 200
        assert http.post(path, content=half + b'"}').status_code == 200


def test_what_was_read_of_a_large_body_counts_until_its_operation_ends() -> None:
    """Two are read and wait; a third has no room before one of them ends."""
    waits = {"name": "a", "operation": "testing.awaiting", "request": {"token": "", "seconds": 60}}
    pipeline = {"inputs": {"text": {"kind": "text"}}, "stages": [waits]}
    asked = {"pipeline": pipeline, "inputs": {"text": "x" * 2_000_000}}
    body = json.dumps(asked).encode()
    path = "/v1/pipelines/run"
    with (
        serving("--workers", "1", "--max-pending-bytes", "5000000") as own,
        own.client() as http,
    ):
        with ExitStack() as stack:
            for _ in range(2):
                stack.enter_context(posted(own, path, body))
            until(lambda: in_flight(http, "testing.awaiting") == 2, 10)
            refused = http.post(path, content=body)
            assert (refused.status_code, refused.json()["code"]) == (503, "overloaded")
        until(lambda: in_flight(http, "testing.awaiting") == 0, 10)
        waits["request"] = {"token": "", "seconds": 0}
        assert http.post(path, json=asked).status_code == 200


def _assert_others_are_served(http: httpx.Client) -> None:
    began = time.monotonic()
    assert http.post("/v1/testing/process", json={"token": "o"}).json()["token"] == "o"
    assert http.post("/v1/testing/count", json={"count": 3}).text.endswith('{"end":{}}\n')
    assert time.monotonic() - began < 20
    assert figure(http, "sensorium_event_loop_lag_seconds", "latest") < 2
