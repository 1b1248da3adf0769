"""Bounded waiting, as a client sees it: refused at once, and interactive before batch."""

import select
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import httpx
import pytest

from tests.faults.observing import answer_of, figure, posted, until, wait_until_all_alive
from tests.servers import Server, serving

STUCK = b'{"token": "t", "seconds": 60}'


@pytest.fixture(scope="module")
def own() -> Iterator[Server]:
    with serving("--workers", "1", "--queue", "2") as server:
        yield server


@pytest.fixture
def http(own: Server) -> Iterator[httpx.Client]:
    with own.client() as client:
        wait_until_all_alive(client, 10)
        yield client


def waiting(http: httpx.Client) -> float:
    return figure(http, "sensorium_queue_depth", "process")


def running(http: httpx.Client) -> float:
    return figure(http, "sensorium_slots_in_use", "process")


def test_a_full_queue_refuses_at_once(own: Server, http: httpx.Client) -> None:
    with posted(own, "/v1/testing/process", STUCK):
        until(lambda: running(http) == 1, 5)
        short = b'{"token": "t"}'
        with posted(own, "/v1/testing/process", short), posted(own, "/v1/testing/process", short):
            until(lambda: waiting(http) == 2, 5)
            refused = http.post("/v1/testing/process", content=short)
            assert waiting(http) == 2, "it is refused while they wait"
            assert (refused.status_code, refused.json()["code"]) == (503, "overloaded")
            assert refused.headers["retry-after"] == "1"
            assert http.post("/v1/testing/inline", content=short).status_code == 200
            assert http.post("/v1/testing/thread", content=short).status_code == 200
    until(lambda: running(http) == 0, 1)
    counted = figure(http, "sensorium_calls_total", "overloaded")
    assert counted == 1
    assert http.post("/v1/testing/process", content=short).status_code == 200


def test_interactive_calls_overtake_batch_ones(own: Server, http: httpx.Client) -> None:
    with (
        posted(own, "/v1/testing/process", STUCK) as first,
        _queued(own, http, 1, x_priority="batch") as batch,
        _queued(own, http, 2, x_priority="interactive") as interactive,
    ):
        first.close()
        answered, _, _ = select.select([batch, interactive], [], [], 60)
        assert answered == [interactive]
        assert answer_of(interactive)[0] == 200
        assert answer_of(batch)[0] == 200


@contextmanager
def _queued(own: Server, http: httpx.Client, place: int, **headers: str) -> Iterator[socket.socket]:
    """A call that waits at that place of the queue."""
    until(lambda: running(http) == 1 and waiting(http) == place - 1, 5)
    body = b'{"token": "t", "seconds": 2}'
    with posted(own, "/v1/testing/process", body, **headers) as raw:
        until(lambda: waiting(http) == place, 5)
        yield raw


def test_a_deadline_passes_in_the_queue(own: Server, http: httpx.Client) -> None:
    with posted(own, "/v1/testing/process", STUCK):
        until(lambda: running(http) == 1, 5)
        began = time.monotonic()
        late = http.post(
            "/v1/testing/process", json={"token": "t"}, headers={"x-deadline-s": "0.3"}
        )
        assert (late.status_code, late.json()["code"]) == (504, "deadline_exceeded")
        assert 0.25 < time.monotonic() - began < 30
        until(lambda: waiting(http) == 0, 1)
    until(lambda: running(http) == 0, 1)


def test_many_streams_begin_at_once(own: Server, http: httpx.Client) -> None:
    """The streams' workers come with the first stream; all that wait for them get their place."""
    body = b'{"count": 10000000, "seconds": 0.05}'
    with ExitStack() as stack:
        open_now = [stack.enter_context(posted(own, "/v1/testing/count", body)) for _ in range(12)]
        for raw in open_now:
            seen = b""
            while b'"index":3' not in seen:
                piece = raw.recv(65536)
                assert piece, seen
                seen += piece
    until(lambda: figure(http, "sensorium_slots_in_use", "stream") == 0, 2)
