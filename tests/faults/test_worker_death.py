"""Workers are killed while they work: their calls end with a typed error, nobody else notices."""

import json
import threading
from collections.abc import Iterator

import httpx
import pytest
from websockets.sync.client import connect

from tests.faults.observing import (
    answer_of,
    busy_worker,
    figure,
    in_flight,
    kill,
    log_body,
    posted,
    readiness,
    until,
    wait_until_all_alive,
    workers_of,
)
from tests.servers import Server, serving

MILLION = 1_000_000


@pytest.fixture(scope="module")
def own() -> Iterator[Server]:
    with serving("--workers", "3") as server:
        yield server


@pytest.fixture
def http(own: Server) -> Iterator[httpx.Client]:
    with own.client() as client:
        wait_until_all_alive(client, 10)
        yield client


def test_the_worker_that_clusters_a_million_lines_is_killed(
    own: Server, http: httpx.Client
) -> None:
    others: list[tuple[int, bool]] = []
    over = threading.Event()

    def call_on() -> None:
        with own.client() as client:
            for n in range(1_000_000):
                if over.is_set():
                    return
                answer = client.post("/v1/testing/process", json={"token": f"other {n}"})
                wanted = f"other {n}"
                others.append((answer.status_code, answer.json().get("token", "") == wanted))

    concurrent = threading.Thread(target=call_on)
    restarts = readiness(http)["workers"]["restarts"]
    with posted(own, "/v1/logs/cluster", log_body(MILLION), "text/plain") as raw:
        victim = busy_worker(own, burnt_s=0.5)
        concurrent.start()
        until(lambda: len(others) > 5, 10)
        kill(victim)
        status, headers, problem = answer_of(raw)
        wait_until_all_alive(http, 2.0)
    before = len(others)
    until(lambda: len(others) > before + 5, 10)
    over.set()
    concurrent.join(60)
    assert (status, problem["code"]) == (503, "unavailable")
    assert int(headers["retry-after"]) >= 1
    assert set(others) == {(200, True)}
    workers = readiness(http)["workers"]
    assert workers["restarts"] == restarts + 1
    assert victim.pid not in {process.pid for process in workers_of(own)}


def test_a_dead_worker_shows_within_a_second(own: Server, http: httpx.Client) -> None:
    name = "sensorium_worker_restarts_total"
    restarts, counted = readiness(http)["workers"]["restarts"], figure(http, name, "call")
    victim = workers_of(own)[0]
    kill(victim)
    until(lambda: readiness(http)["workers"]["restarts"] == restarts + 1, 1.0)
    assert figure(http, name, "call") == counted + 1
    wait_until_all_alive(http, 2.0)
    assert figure(http, "sensorium_workers_alive", "call") == 3


def test_all_workers_killed_at_once_come_back_and_waiting_calls_are_served(
    own: Server, http: httpx.Client
) -> None:
    for victim in workers_of(own):
        kill(victim)
    answers = [http.post("/v1/testing/process", json={"token": str(n)}) for n in range(5)]
    codes = {answer.json().get("code", "ok") for answer in answers}
    assert codes <= {"ok", "unavailable"}
    assert answers[-1].json().get("token") == "4"
    wait_until_all_alive(http, 5.0)


def test_a_stream_whose_worker_dies_ends_with_an_error(own: Server, http: httpx.Client) -> None:
    calls = {process.pid for process in workers_of(own)}
    body = {"count": 10_000_000, "seconds": 0.01}
    with http.stream("POST", "/v1/testing/count", json=body) as answer:
        lines = answer.iter_lines()
        assert "chunk" in json.loads(next(lines))
        pinned = [each for each in workers_of(own) if each.pid not in calls]
        for process in pinned:
            kill(process)
        *_, last = (json.loads(line) for line in lines if line)
    assert pinned
    assert last["error"]["code"] == "unavailable"
    # One that had nothing to do dies in its own time; it is collected once the server knows.
    until(lambda: not any(each.is_running() for each in pinned), 2.0, "the dead are collected")
    again = http.post("/v1/testing/count", json={"count": 2}).text.splitlines()
    assert json.loads(again[-1]) == {"end": {}}


def test_over_a_websocket_only_the_call_of_the_dead_worker_fails(
    own: Server, http: httpx.Client
) -> None:
    with connect(own.ws_url) as socket:
        socket.send('{"id": "long", "op": "testing.stuck", "data": {"token": "l", "seconds": 60}}')
        victim = busy_worker(own)
        socket.send('{"id": "short", "op": "testing.process", "data": {"token": "s"}}')
        assert json.loads(socket.recv(20))["data"]["token"] == "s"
        kill(victim)
        failed = json.loads(socket.recv(20))
        assert (failed["id"], failed["error"]["code"]) == ("long", "unavailable")
        socket.send('{"id": "next", "op": "testing.process", "data": {"token": "n"}}')
        assert json.loads(socket.recv(20))["data"]["token"] == "n"
    until(lambda: in_flight(http, "testing.stuck") == 0, 1)


def test_no_worker_outlives_a_killed_server() -> None:
    with serving("--workers", "2") as own, own.client() as http:
        http.post("/v1/testing/count", json={"count": 1})  # brings the streams' worker too
        with posted(own, "/v1/testing/stuck", b'{"token": "t", "seconds": 60}'):
            busy_worker(own)
            workers = until(lambda: len(found := workers_of(own)) == 4 and found, 5)
            own.process.kill()
            until(lambda: not any(each.is_running() for each in workers), 2.0, "no orphans")
