"""Stopping with SIGTERM: what runs may finish, what is new is refused, and nothing is dropped."""

import json
import signal

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.faults.observing import answer_of, busy_worker, in_flight, posted, until, workers_of
from tests.servers import serving

ENDED_S = 15
"""The limit is 20 for what is let finish where nothing is set, and a call lasts a minute."""
LATE = b'{"token": "late", "seconds": 6}'


def test_what_runs_finishes_and_what_is_new_is_refused() -> None:
    with serving("--workers", "2") as own, own.client() as http:
        with posted(own, "/v1/testing/process", LATE) as raw:
            busy_worker(own)
            workers = workers_of(own)
            own.process.send_signal(signal.SIGTERM)
            until(lambda: _refused(own.url), 1.0, "refuses new connections")
            assert own.process.poll() is None
            status, headers, answer = answer_of(raw)
        assert (status, answer["token"]) == (200, "late")
        assert headers["connection"] == "close"
        assert own.process.wait(ENDED_S) == 0
        assert not any(each.is_running() for each in workers)
        http.close()


@pytest.mark.parametrize("verb", ["process", "stuck", "thread", "awaiting", "nested"])
def test_a_call_longer_than_the_drain_ends_with_a_typed_error(verb: str) -> None:
    with serving("--workers", "2", "--drain-s", "1") as own, own.client() as http:
        body = b'{"token": "t", "seconds": 60}'
        with posted(own, f"/v1/testing/{verb}", body) as raw:
            until(lambda: in_flight(http, f"testing.{verb}") == 1, 5)
            http.close()
            own.process.send_signal(signal.SIGTERM)
            status, headers, problem = answer_of(raw)
        assert (status, problem["code"]) == (503, "unavailable")
        assert int(headers["retry-after"]) >= 1
        assert own.process.wait(ENDED_S) == 0


@pytest.mark.parametrize("verb", ["count", "count_async"])
def test_a_stream_longer_than_the_drain_ends_with_a_typed_error(verb: str) -> None:
    with serving("--workers", "2", "--drain-s", "1") as own, own.client() as http:
        body = {"count": 10_000_000, "seconds": 0.01}
        with http.stream("POST", f"/v1/testing/{verb}", json=body) as answer:
            lines = answer.iter_lines()
            next(lines)
            own.process.send_signal(signal.SIGTERM)
            *_, last = (json.loads(line) for line in lines if line)
        assert last["error"]["code"] == "unavailable"
        assert own.process.wait(ENDED_S) == 0


def test_a_websocket_call_finishes_too() -> None:
    with serving("--workers", "2") as own, connect(own.ws_url) as ws:
        ws.send('{"id": 1, "op": "testing.process", "data": {"token": "late", "seconds": 6}}')
        busy_worker(own)
        own.process.send_signal(signal.SIGTERM)
        assert json.loads(ws.recv(ENDED_S))["data"]["token"] == "late"
        assert own.process.wait(ENDED_S) == 0


def test_a_websocket_call_longer_than_the_drain_ends_with_a_typed_error() -> None:
    with serving("--workers", "2", "--drain-s", "3") as own, connect(own.ws_url) as ws:
        ws.send('{"id": 1, "op": "testing.process", "data": {"token": "t", "seconds": 60}}')
        busy_worker(own)
        own.process.send_signal(signal.SIGTERM)
        heard = {"data": {}}
        while "data" in heard:
            ws.send('{"id": 2, "op": "testing.inline", "data": {"token": "new"}}')
            heard = json.loads(ws.recv(ENDED_S))
        for number, answer in ((2, heard), (1, json.loads(ws.recv(ENDED_S)))):
            assert (answer["id"], answer["error"]["code"]) == (number, "unavailable")
        with pytest.raises(ConnectionClosed) as closed:
            ws.recv(ENDED_S)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1012
        assert own.process.wait(ENDED_S) == 0


def test_an_idle_websocket_is_closed_at_once() -> None:
    with serving("--workers", "2") as own, connect(own.ws_url) as ws:
        ws.send('{"id": 1, "op": "testing.inline", "data": {"token": "t"}}')
        assert json.loads(ws.recv(ENDED_S))["data"]["token"] == "t"
        own.process.send_signal(signal.SIGTERM)
        with pytest.raises(ConnectionClosed):
            ws.recv(ENDED_S)
        assert own.process.wait(ENDED_S) == 0


def test_a_second_signal_does_not_wait() -> None:
    with serving("--workers", "2") as own:
        with posted(own, "/v1/testing/process", b'{"token": "t", "seconds": 60}'):
            busy_worker(own)
            own.process.send_signal(signal.SIGINT)
            until(lambda: _refused(own.url), 1.0)
            own.process.send_signal(signal.SIGINT)
            own.process.wait(ENDED_S)
        assert own.process.returncode == 0


def _refused(url: str) -> bool:
    try:
        httpx.get(f"{url}/v1/health", timeout=1)
    except httpx.ConnectError:
        return True
    except httpx.HTTPError:
        return False
    return False
