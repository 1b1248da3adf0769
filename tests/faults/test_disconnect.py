"""Nobody waits any more: the compute stops long before it would have ended, and frees its slot."""

import json
from collections.abc import Callable, Iterator

import httpx
import psutil
import pytest
from websockets.sync.client import connect

from tests.faults.observing import (
    answer_of,
    burner,
    burnt_by,
    busy_worker,
    cpu_s,
    figure,
    in_flight,
    log_body,
    posted,
    series_body,
    until,
    until_idle,
    wait_until_all_alive,
)
from tests.faults.peers import ON_SOCKETS, Grpc, Mcp, Peer, served, vanish
from tests.native.running import started
from tests.servers import Server

STOPPED_S = 0.25


@pytest.fixture(scope="module")
def own() -> Iterator[Server]:
    with served("--workers", "2") as server:
        yield server


@pytest.fixture
def http(own: Server) -> Iterator[httpx.Client]:
    with own.client() as client:
        wait_until_all_alive(client, 10)
        yield client


def assert_stopped(worker: psutil.Process, http: httpx.Client, name: str) -> None:
    """It burns nothing any more, and nothing is held for it."""
    until_idle(worker, STOPPED_S)
    until(lambda: figure(http, "sensorium_slots_in_use", "process") == 0, 1.0, "the slot is free")
    until(lambda: in_flight(http, name) == 0, 1.0, "the call is over")


@pytest.mark.parametrize(
    ("kind", "verb"),
    [*((kind, "stuck") for kind in ON_SOCKETS), (Grpc, "process"), (Mcp, "process")],
)
def test_reset(own: Server, http: httpx.Client, kind: type[Peer], verb: str) -> None:
    peer = kind(own)
    line = peer.line()
    line.sendall(peer.begin(verb, {"token": "t", "seconds": 60}))
    worker = busy_worker(own)
    vanish(line)
    assert_stopped(worker, http, f"testing.{verb}")
    assert peer.echo("next") == "next"


@pytest.mark.parametrize("verb", ["process", "stuck"])
def test_a_browser_is_killed(verb: str) -> None:
    """With the pipes goes everything, so that here no slot is left to be freed."""
    with started(SENSORIUM_WORKERS="1") as host:
        until(host.all_alive, 10)
        host.send({"id": 1, "op": f"testing.{verb}", "data": {"token": "t", "seconds": 60}})
        worker = busy_worker(host)
        host.vanish()
        until(lambda: host.process.poll() is not None, 1.0, "the process has ended")
        until(lambda: cpu_s(worker) == float("inf"), 1.0, "so has its worker")
        assert host.process.returncode == 0


@pytest.mark.parametrize("verb", ["process", "stuck"])
def test_http(own: Server, http: httpx.Client, verb: str) -> None:
    with posted(own, f"/v1/testing/{verb}", b'{"token": "t", "seconds": 60}') as raw:
        worker = busy_worker(own)
        raw.close()
        assert_stopped(worker, http, f"testing.{verb}")


@pytest.mark.parametrize("verb", ["process", "stuck"])
def test_websocket_closed(own: Server, http: httpx.Client, verb: str) -> None:
    with connect(own.ws_url) as socket:
        begin = {"id": 1, "op": f"testing.{verb}", "data": {"token": "t", "seconds": 60}}
        socket.send(json.dumps(begin))
        worker = busy_worker(own)
        socket.socket.close()
        assert_stopped(worker, http, f"testing.{verb}")


def test_websocket_cancel(own: Server, http: httpx.Client) -> None:
    with connect(own.ws_url) as socket:
        socket.send('{"id": 1, "op": "testing.stuck", "data": {"token": "t", "seconds": 60}}')
        worker = busy_worker(own)
        socket.send('{"id": 1, "cancel": true}')
        assert json.loads(socket.recv(20))["error"]["code"] == "cancelled"
        assert_stopped(worker, http, "testing.stuck")


@pytest.mark.parametrize(
    ("name", "body_of", "size", "burnt_s"),
    [
        ("logs.cluster", log_body, 1_000_000, 0.1),
        ("logs.cluster", log_body, 1_000_000, 0.8),
        ("metrics.detect_anomalies", series_body, 1_000_000, 0.03),
        ("metrics.detect_anomalies", series_body, 4_000_000, 0.3),
    ],
)
def test_real_operations(
    own: Server,
    http: httpx.Client,
    name: str,
    body_of: Callable[[int], bytes],
    size: int,
    burnt_s: float,
) -> None:
    media_type = "text/plain" if body_of is log_body else "application/json"
    path = f"/v1/{name.replace('.', '/')}"
    body = body_of(size)
    while (worker := left_amid(own, http, name, (path, body, media_type), burnt_s)) is None:
        wait_until_all_alive(http, 10)
    assert_stopped(worker, http, name)


def left_amid(
    own: Server, http: httpx.Client, name: str, asked: tuple[str, bytes, str], burnt_s: float
) -> psutil.Process | None:
    """The worker whose call was left while it computed; None where that had ended before."""
    answered, left = ended(http, name, "ok"), ended(http, name, "cancelled")
    before = burnt_by(own)
    with posted(own, *asked):
        until(lambda: burner(own, before, burnt_s) or ended(http, name, "ok") > answered, 20)
        worker = burner(own, before, burnt_s)
    until(lambda: in_flight(http, name) == 0, 5)
    return worker if ended(http, name, "cancelled") > left else None


def ended(http: httpx.Client, name: str, code: str) -> float:
    """How many calls of an operation ended so."""
    return figure(http, f'sensorium_calls_total{{code="{code}"', name, 0.0)


def test_a_call_that_waits_in_the_queue_never_runs(own: Server, http: httpx.Client) -> None:
    ran = 'sensorium_calls_total{code="ok",operation="testing.lines"}'
    busy = [posted(own, "/v1/testing/stuck", b'{"token": "t", "seconds": 60}') for _ in range(2)]
    with busy[0], busy[1]:
        until(lambda: figure(http, "sensorium_slots_in_use", "process") == 2, 5)
        with posted(own, "/v1/testing/lines", b'{"lines": ["a"]}'):
            until(lambda: figure(http, "sensorium_queue_depth", "process") == 1, 5)
        until(lambda: figure(http, "sensorium_queue_depth", "process") == 0, 0.5)
    until(lambda: figure(http, "sensorium_slots_in_use", "process") == 0, 1.0)
    assert ran not in http.get("/metrics").text


def test_half_a_body_holds_no_slot(own: Server, http: httpx.Client) -> None:
    head = b'{"token": "' + b"x" * 200_000
    with posted(own, "/v1/testing/process", head, content_length="900000"):
        answers = [http.post("/v1/testing/process", json={"token": "t"}) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200] * 3
        until(lambda: figure(http, "sensorium_slots_in_use", "process") == 0, 1.0)


def test_a_stream_is_left(own: Server, http: httpx.Client) -> None:
    body = b'{"count": 10000000}'
    with posted(own, "/v1/testing/count", body) as raw:
        assert b"200 OK" in raw.recv(64)
    until(lambda: in_flight(http, "testing.count") == 0, 1.0)
    until(lambda: figure(http, "sensorium_slots_in_use", "stream") == 0, 1.0)


def test_a_thread_stops_at_its_next_check(own: Server, http: httpx.Client) -> None:
    with posted(own, "/v1/testing/thread", b'{"token": "t", "seconds": 60}'):
        until(lambda: figure(http, "sensorium_slots_in_use", "thread") == 1, 5)
    until(lambda: figure(http, "sensorium_slots_in_use", "thread") == 0, STOPPED_S)


def test_whoever_leaves_at_once_is_missed_too(own: Server, http: httpx.Client) -> None:
    """Before anybody watches whether the client is there."""
    for _ in range(20):
        with posted(own, "/v1/testing/awaiting", b'{"token": "t", "seconds": 60}'):
            pass
    until(lambda: ended(http, "testing.awaiting", "cancelled"), 5)
    until(lambda: in_flight(http, "testing.awaiting") == 0, 1.0)


def test_the_next_call_gets_its_own_answer(own: Server) -> None:
    with posted(own, "/v1/testing/process", b'{"token": "left", "seconds": 60}'):
        busy_worker(own)
    with posted(own, "/v1/testing/process", b'{"token": "next"}') as raw:
        status, _, answer = answer_of(raw)
    assert (status, answer["token"]) == (200, "next")
