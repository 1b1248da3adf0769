"""A worker stands still (SIGSTOP): deadlines and cancels still end calls, and it is replaced."""

import time
from collections.abc import Iterator

import httpx
import pytest

from tests.faults.observing import (
    answer_of,
    busy_worker,
    in_flight,
    posted,
    readiness,
    stand_still,
    until,
    wait_until_all_alive,
    workers_of,
)
from tests.servers import Server, serving

STUCK = b'{"token": "t", "seconds": 60}'


@pytest.fixture(scope="module")
def own() -> Iterator[Server]:
    with serving("--workers", "2") as server:
        yield server


@pytest.fixture
def http(own: Server) -> Iterator[httpx.Client]:
    with own.client() as client:
        wait_until_all_alive(client, 10)
        yield client


def test_a_deadline_ends_the_call_and_the_worker(own: Server, http: httpx.Client) -> None:
    began = time.monotonic()
    with posted(own, "/v1/testing/process", STUCK, x_deadline_s="5") as raw:
        victim = busy_worker(own)
        stand_still(victim)
        status, _, problem = answer_of(raw)
        assert (status, problem["code"]) == (504, "deadline_exceeded")
        assert 4.9 < time.monotonic() - began < 40
    until(lambda: victim.pid not in {each.pid for each in workers_of(own)}, 2.0, "replaced")
    wait_until_all_alive(http, 2.0)
    assert http.post("/v1/testing/process", json={"token": "next"}).status_code == 200


def test_a_cancel_frees_the_slot_and_replaces_the_worker(own: Server, http: httpx.Client) -> None:
    with posted(own, "/v1/testing/process", STUCK):
        victim = busy_worker(own)
        stand_still(victim)
    until(lambda: in_flight(http, "testing.process") == 0, 0.5)
    until(lambda: victim.pid not in {each.pid for each in workers_of(own)}, 1.0, "replaced")
    wait_until_all_alive(http, 2.0)


def test_an_idle_one_is_found_and_replaced(own: Server, http: httpx.Client) -> None:
    restarts = readiness(http)["workers"]["restarts"]
    for victim in workers_of(own):
        stand_still(victim)
    until(lambda: readiness(http)["workers"]["restarts"] == restarts + 2, 10, "both replaced")
    wait_until_all_alive(http, 2.0)
    assert http.post("/v1/testing/process", json={"token": "t"}).status_code == 200


def test_calls_go_to_the_worker_that_speaks(own: Server, http: httpx.Client) -> None:
    restarts = readiness(http)["workers"]["restarts"]
    stand_still(workers_of(own)[0])
    while readiness(http)["workers"]["restarts"] == restarts:
        answer = http.post(
            "/v1/testing/process", json={"token": "t"}, headers={"x-deadline-s": "3"}
        )
        assert answer.status_code in (200, 503, 504)
    wait_until_all_alive(http, 2.0)
    assert http.post("/v1/testing/process", json={"token": "t"}).status_code == 200
