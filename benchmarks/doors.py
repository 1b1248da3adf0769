"""The other doors: WebSocket beside HTTP, native messaging, MCP on standard streams, the start.

One client makes one call of `system.echo` with a kilobyte after the other, as plainly as each
protocol allows; a WebSocket and HTTP in turns on one server. A start with every door open
alternates with one of HTTP alone.
"""

import json
import os
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from statistics import median
from typing import Any

from websockets.sync.client import connect

from benchmarks.peer_environment import ROOT
from benchmarks.report import Row, show
from benchmarks.running import free_port, ours

ROUNDS = 9
CALLS = 500
STARTS = 9
TEXT = "x" * 1000
ECHO = json.dumps({"text": TEXT}).encode()
LENGTH = struct.Struct("=I")

Call = Callable[[], Any]


def seconds_of(call: Call, count: int = CALLS) -> list[float]:
    """How long each of some calls took."""
    times = []
    for _ in range(count):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return times


def websocket_beside_http() -> Row:
    """The median call over a WebSocket, in HTTP's."""
    with ours("--warm") as server:
        server.first_answer_s("/v1/health")
        http = HTTPConnection("127.0.0.1", server.port)
        with connect(f"ws://127.0.0.1:{server.port}/v1/ws") as socket:
            message = json.dumps({"id": 1, "op": "system.echo", "data": {"text": TEXT}})

            def over_http() -> bytes:
                http.request("POST", "/v1/system/echo", ECHO)
                return http.getresponse().read()

            def over_websocket() -> Any:
                socket.send(message)
                return socket.recv()

            for call in (over_http, over_websocket):
                seconds_of(call)
            rounds = [(seconds_of(over_websocket), seconds_of(over_http)) for _ in range(ROUNDS)]
        http.close()
    medians = [(1e3 * median(mine), 1e3 * median(others)) for mine, others in rounds]
    ratio = median(mine / other for mine, other in medians)
    note = (
        f"p50 {median(m for m, _ in medians):.2f} ms, HTTP {median(h for _, h in medians):.2f} ms"
    )
    return Row("WebSocket call, beside HTTP", ratio, "x", "<= 1.2x", ratio <= 1.2, "", note)


@contextmanager
def program(*arguments: str) -> Iterator["subprocess.Popen[bytes]"]:
    """`sensorium` with pipes to its standard streams."""
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            [sys.executable, "-m", "sensorium", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT / "src"),
                "SENSORIUM_DATA_DIR": folder,
            },
        )
        try:
            yield process
        finally:
            process.kill()
            process.communicate()


def native_echo(process: "subprocess.Popen[bytes]") -> Call:
    """A call over native messaging."""
    assert process.stdin is not None
    assert process.stdout is not None
    source, sink = process.stdout, process.stdin
    message = json.dumps({"id": 1, "op": "system.echo", "data": {"text": TEXT}}).encode()

    def call() -> bytes:
        sink.write(LENGTH.pack(len(message)) + message)
        sink.flush()
        (length,) = LENGTH.unpack(source.read(LENGTH.size))
        return source.read(length)

    return call


def native_rows() -> list[Row]:
    """From the start of the process to its first reply, and a call after that."""
    spawned, called = [], []
    for _ in range(STARTS):
        began = time.perf_counter()
        with program("serve", "--mode", "native") as process:
            call = native_echo(process)
            call()
            spawned.append(1e3 * (time.perf_counter() - began))
            seconds_of(call, 100)
            called.append(1e3 * median(seconds_of(call, 200)))
    spawn, each = median(spawned), median(called)
    spread = f"{min(spawned):.0f} to {max(spawned):.0f} ms in {STARTS} starts"
    return [
        Row(
            "native messaging: start to first reply",
            spawn,
            "ms",
            "<= 250 ms",
            spawn <= 250,
            note=spread,
        ),
        Row("native messaging: a call", each, "ms", "<= 2 ms", each <= 2),
    ]


def mcp_row() -> Row:
    """A tool's call over MCP's standard streams, in plain JSON-RPC."""
    with program("mcp") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        source, sink = process.stdout, process.stdin
        numbers = iter(range(1, 1_000_000))

        def tell(message: dict[str, Any]) -> None:
            sink.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
            sink.flush()

        def ask(method: str, params: dict[str, Any]) -> Any:
            number = next(numbers)
            tell({"id": number, "method": method, "params": params})
            while (answer := json.loads(source.readline())).get("id") != number:
                pass
            return answer["result"]

        client = {"name": "benchmark", "version": "1"}
        version = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client}
        ask("initialize", version)
        tell({"method": "notifications/initialized"})
        arguments = {"lines": [f"user {n} logged in" for n in range(5)]}
        call = {"name": "logs_cluster", "arguments": arguments}

        def cluster() -> None:
            assert not ask("tools/call", call)["isError"]

        seconds_of(cluster, 100)
        times = sorted(1e3 * each for each in seconds_of(cluster, 1000))
    p50 = median(times)
    note = f"logs_cluster of five lines; p99 {times[int(0.99 * len(times))]:.2f} ms"
    return Row("MCP over standard streams: a call", p50, "ms", "<= 4 ms p50", p50 <= 4, note=note)


def start_row() -> Row:
    """The first 200 with every door that is there, beside HTTP alone."""
    found: dict[str, list[float]] = {"http": [], "all": []}
    for _ in range(STARTS):
        for mode, times in found.items():
            with ours("--mode", mode, "--grpc-port", str(free_port())) as server:
                times.append(1e3 * server.first_answer_s("/v1/health"))
    ratio = median(each / alone for each, alone in zip(found["all"], found["http"], strict=True))
    note = f"{median(found['all']):.0f} ms, HTTP alone {median(found['http']):.0f} ms"
    return Row(
        "first 200 with every door, beside HTTP alone",
        ratio,
        "x",
        "<= 1.2x",
        ratio <= 1.2,
        "",
        note,
    )


def measure() -> list[Row]:
    """One door after the other."""
    return [websocket_beside_http(), *native_rows(), mcp_row(), start_row()]


if __name__ == "__main__":
    show(measure())
