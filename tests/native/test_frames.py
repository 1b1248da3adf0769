"""Native messaging: frames in, frames out, whatever comes; and nothing else on standard output."""

import json
import os
import signal
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psutil
import pytest

from sensorium.transports.native import MAX_OUTGOING, framed
from tests.faults.observing import until
from tests.servers import PLUGIN, ROOT

LENGTH = struct.Struct("=I")


class Host:
    """The process that a browser would start, and the browser's side of its pipes."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self.process = process
        self._stdin = process.stdin
        self._stdout = process.stdout

    def send(self, message: Any) -> None:
        self.send_bytes(json.dumps(message).encode())

    def send_bytes(self, body: bytes, length: int | None = None) -> None:
        self._stdin.write(LENGTH.pack(len(body) if length is None else length) + body)
        self._stdin.flush()

    def frame(self) -> bytes:
        head = self._stdout.read(LENGTH.size)
        assert len(head) == LENGTH.size, "it closed its end"
        (length,) = LENGTH.unpack(head)
        assert length <= MAX_OUTGOING
        return self._stdout.read(length)

    def receive(self) -> Any:
        """The next message, put together where it came in parts."""
        message = json.loads(self.frame())
        if "part" not in message:
            return message
        text = message["part"]
        while message["more"]:
            message = json.loads(self.frame())
            text += message["part"]
        return json.loads(text)

    def call(self, operation: str, data: Any, number: Any = 1) -> Any:
        self.send({"id": number, "op": operation, "data": data})
        return self.receive()

    def leave(self) -> int:
        self._stdin.close()
        return self.process.wait(10)


@contextmanager
def started() -> Iterator[Host]:
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            [sys.executable, "-m", "sensorium", "serve", "--mode", "native"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(PLUGIN)]),
                "SENSORIUM_DATA_DIR": folder,
            },
        )
        host = Host(process)
        try:
            yield host
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            process.wait(10)
            host._stdin.close() if not host._stdin.closed else None
            host._stdout.close()


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
    frames = framed(message)
    assert len(frames) > 1
    parts = [json.loads(frame[LENGTH.size :]) for frame in frames]
    assert "".join(part["part"] for part in parts).encode() == message
    assert [part["more"] for part in parts] == [True] * (len(parts) - 1) + [False]
    assert framed(b"{}") == [LENGTH.pack(2) + b"{}"]
