"""Load on a server, from a process of its own.

`closed` keeps some connections busy, each with one request after the other. `open_loop` sends at
fixed times whatever became of the requests before: what waits for a slow server is counted.
"""

import asyncio
import os
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from importlib import import_module
from pathlib import Path

import msgspec
from msgspec import Struct

ROOT = Path(__file__).parent.parent
SENDERS = 24
CHUNKED_END = b"\r\n0\r\n\r\n"
AHEAD = -10
"""The load's niceness, where it may have one: it stands for other machines, and should not wait
for a core that the server computes on."""


class Task(Struct, kw_only=True):
    """What to send, how, and how long."""

    port: int
    request: bytes
    seconds: float
    connections: int = 8
    rate_per_s: float | None = None
    """Open loop at that rate; None for a closed loop."""


class Outcome(Struct, kw_only=True):
    """What came back."""

    seconds: list[float] = []
    failed: int = 0

    def ms(self, share: float) -> float:
        """A percentile of the latency in milliseconds."""
        ordered = sorted(self.seconds)
        return 1e3 * ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def post(path: str, body: bytes, media_type: str = "application/json", key: str = "") -> bytes:
    """A request as bytes."""
    lines = [
        f"POST {path} HTTP/1.1",
        "host: 127.0.0.1",
        f"content-type: {media_type}",
        f"content-length: {len(body)}",
    ]
    if key:
        lines.append(f"authorization: Bearer {key}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def run(task: Task) -> Outcome:
    """Have a process of its own put the load on."""
    return collect(start(task))


def start(task: Task) -> "subprocess.Popen[bytes]":
    """Begin a load; `collect` ends it."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.load"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
    )
    assert process.stdin is not None
    process.stdin.write(msgspec.msgpack.encode(task))
    process.stdin.close()
    return process


def collect(process: "subprocess.Popen[bytes]") -> Outcome:
    """Wait for a load's end."""
    assert process.stdout is not None
    with process.stdout:
        outcome = msgspec.msgpack.decode(process.stdout.read(), type=Outcome)
    process.wait()
    return outcome


class _Connection(asyncio.Protocol):
    """Sends the request, and again when the answer is there."""

    def __init__(self, task: Task, outcome: Outcome, until: float) -> None:
        self.over = asyncio.get_running_loop().create_future()
        self._task = task
        self._outcome = outcome
        self._until = until
        self._answer = b""
        self._began = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        self._answer += data
        size = _size(self._answer)
        if size is None or len(self._answer) < size:
            return
        _count(self._outcome, self._answer, time.perf_counter() - self._began)
        self._answer = self._answer[size:]
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.over.done():
            self._outcome.failed += 1
            self.over.set_result(None)

    def _send(self) -> None:
        self._began = time.perf_counter()
        if self._began < self._until:
            self._transport.write(self._task.request)  # type: ignore[attr-defined]
        else:
            self.over.set_result(None)
            self._transport.close()


async def _closed(task: Task) -> Outcome:
    outcome = Outcome()
    loop = asyncio.get_running_loop()
    until = time.perf_counter() + task.seconds
    made = [
        await loop.create_connection(
            lambda: _Connection(task, outcome, until), "127.0.0.1", task.port
        )
        for _ in range(task.connections)
    ]
    await asyncio.gather(*(connection.over for _, connection in made))
    return outcome


def _open_loop(task: Task, rate_per_s: float) -> Outcome:
    """Threads that take turns: a slow answer holds up nobody else's request."""
    outcome = Outcome()
    began = time.perf_counter() + 0.1
    total = int(task.seconds * rate_per_s)
    senders = [
        threading.Thread(
            target=_send_at,
            args=(task, outcome, [began + i / rate_per_s for i in range(first, total, SENDERS)]),
        )
        for first in range(SENDERS)
    ]
    for each in senders:
        each.start()
    for each in senders:
        each.join()
    return outcome


def _send_at(task: Task, outcome: Outcome, times: list[float]) -> None:
    free = 0.0
    with socket.create_connection(("127.0.0.1", task.port)) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in times:
            time.sleep(max(0.0, at - time.perf_counter()))
            # Late only because the answer before was: that is the server's time.
            began = at if free > at else time.perf_counter()
            sock.sendall(task.request)
            answer = b""
            while (size := _size(answer)) is None or len(answer) < size:
                answer += sock.recv(1 << 20)
            free = time.perf_counter()
            _count(outcome, answer, free - began)


def _size(answer: bytes) -> int | None:
    """How long the response is, once its head is there."""
    end = answer.find(b"\r\n\r\n")
    if end < 0:
        return None
    head = answer[:end].lower()
    if b"transfer-encoding: chunked" in head:
        return len(answer) if answer.endswith(CHUNKED_END) else None
    return end + 4 + int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])


def _count(outcome: Outcome, answer: bytes, seconds: float) -> None:
    outcome.seconds.append(seconds)
    outcome.failed += not answer.startswith(b"HTTP/1.1 200")


def main() -> None:
    """Read a task from standard input, write its outcome to standard output."""
    task = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=Task)
    with suppress(PermissionError):
        os.nice(AHEAD)
    if task.rate_per_s is not None:
        outcome = _open_loop(task, task.rate_per_s)
    else:
        outcome = import_module("uvloop").run(_closed(task))
    sys.stdout.buffer.write(msgspec.msgpack.encode(outcome))


if __name__ == "__main__":
    main()
