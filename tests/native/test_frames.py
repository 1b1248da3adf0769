"""Native messaging: frames in, frames out, whatever comes; and nothing else on standard output."""

import json
from collections.abc import Iterator

import psutil
import pytest

from sensorium.transports.native import framed
from tests.faults.observing import until
from tests.native.running import LENGTH, Host, started


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    with started() as running:
        yield running


def test_calls_are_answered(host: Host) -> None:
    lines = ["timeout after 3 ms", "timeout after 4 ms"]
    answer = host.call("logs.cluster", {"lines": lines})
    assert answer["id"] == 1
    assert answer["data"]["clusters"][0]["count"] == 2
    assert host.call("no.such", {})["error"]["code"] == "not_found"
    assert host.call("logs.cluster", {"lines": 1})["error"]["code"] == "invalid_input"


def test_a_stream_comes_item_by_item_and_ends(host: Host) -> None:
    host.send({"id": "s", "op": "testing.count", "data": {"count": 3}})
    found = [host.receive() for _ in range(4)]
    assert [each["chunk"]["index"] for each in found[:3]] == [0, 1, 2]
    assert found[3] == {"id": "s", "end": {}}


def test_an_answer_over_a_mebibyte_comes_in_parts(host: Host) -> None:
    text = 'ü"\\' * 300_000
    answer = host.call("testing.process", {"token": text}, 7)
    assert answer["id"] == 7
    assert answer["data"]["token"] == text


@pytest.mark.parametrize("junk", [b"", b"{", b"\xff\xfe", b"[1, 2]", b"null", b'{"id": {}}'])
def test_junk_is_answered_and_survived(host: Host, junk: bytes) -> None:
    host.send_bytes(junk)
    assert host.receive()["error"]["code"] == "invalid_input"
    assert host.call("system.health", {})["data"]["status"] == "live"


def test_a_message_that_is_too_long_is_answered_and_passed_over(host: Host) -> None:
    host.send_bytes(b" " * ((64 << 20) + 1))
    assert host.receive()["error"]["code"] == "payload_too_large"
    assert host.call("system.health", {})["data"]["status"] == "live"


def test_many_calls_are_in_flight_and_one_can_be_cancelled(host: Host) -> None:
    host.send({"id": 1, "op": "testing.process", "data": {"token": "long", "seconds": 60}})
    host.send({"id": 2, "op": "testing.inline", "data": {"token": "short"}})
    assert host.receive() == {"id": 2, "data": {"token": "short", "seconds": 0.0}}
    host.send({"id": 1, "cancel": True})
    assert host.receive()["error"]["code"] == "cancelled"


def test_it_ends_when_the_browser_does() -> None:
    with started() as host:
        assert host.call("system.health", {})["data"]["status"] == "live"
        host.send({"id": 1, "op": "testing.process", "data": {"token": "a", "seconds": 60}})
        workers = psutil.Process(host.process.pid).children()
        assert host.leave() == 0
        until(lambda: not any(each.is_running() for each in workers), 5)


def test_a_frame_cut_short_by_the_end_is_no_message() -> None:
    with started() as host:
        host.send_bytes(b'{"id": 1', 100)
        assert host.leave() == 0


def test_frames_hold_what_they_were_made_of() -> None:
    message = json.dumps({"id": "a", "data": "x" * 3_000_000}).encode()
    frames = list(framed(message))
    assert len(frames) > 1
    parts = [json.loads(frame[LENGTH.size :]) for frame in frames]
    assert "".join(part["part"] for part in parts).encode() == message
    assert [part["more"] for part in parts] == [True] * (len(parts) - 1) + [False]
    assert list(framed(b"{}")) == [LENGTH.pack(2) + b"{}"]
