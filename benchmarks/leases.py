"""Leasing device memory and giving it back while a thousand leases are held.

First the book of leases alone, on an event loop. Then the operations over HTTP, one after the other
over one connection: `resources.lease` and `resources.release`, each an entry in the audit's file.
"""

import asyncio
import json
import time
from http.client import HTTPConnection
from typing import Any

from benchmarks.report import Row, show
from benchmarks.running import ours
from sensorium.control.devices import Device
from sensorium.control.leases import Leases
from sensorium.control.wishes import Wish

HELD = 1_000
CALLS = 20_000
CALLS_OVER_HTTP = 2_000
WARM = 200
MIB = 1 << 20
TARGET_MS = 1.0
TARGET_OVER_HTTP_MS = 5.0


def measure() -> list[Row]:
    """Both ways."""
    return [
        _row("lease and release, in process", asyncio.run(in_process()), TARGET_MS),
        _row("lease and release, over HTTP", over_http(), TARGET_OVER_HTTP_MS),
    ]


async def in_process() -> list[float]:
    """Seconds of each pair of calls, on a machine of nine devices."""
    names = ["cpu", *(f"nvidia:{number}" for number in range(8))]
    devices = [Device(name, 80 << 30) for name in names]

    async def find() -> list[Device]:
        return devices

    book = Leases(find)
    for number in range(HELD):
        await book.lease(Wish(f"holder {number % 50}", MIB, priority=number % 100))
    times = []
    for number in range(CALLS + WARM):
        wish = Wish(f"holder {number % 50}", MIB, priority=number % 100)
        began = time.perf_counter()
        lease = await book.lease(wish)
        book.release(lease.id, wish.holder)
        times.append(time.perf_counter() - began)
    assert len(book.held) == HELD
    return times[WARM:]


def over_http() -> list[float]:
    """Seconds of each pair of calls to a server."""
    times = []
    with ours() as server:
        server.first_answer_s("/v1/health")
        http = HTTPConnection("127.0.0.1", server.port)

        def call(name: str, **fields: Any) -> Any:
            http.request("POST", f"/v1/resources/{name}", json.dumps(fields))
            response = http.getresponse()
            answer = json.loads(response.read())
            assert response.status == 200, answer
            return answer

        def lease() -> str:
            found: str = call("lease", size_bytes=1024)["lease"]
            return found

        for _ in range(HELD):
            lease()
        for _ in range(CALLS_OVER_HTTP + WARM):
            began = time.perf_counter()
            call("release", lease=lease())
            times.append(time.perf_counter() - began)
        assert len(call("usage")["leases"]) == HELD
        http.close()
    return times[WARM:]


def _row(what: str, times: list[float], target_ms: float) -> Row:
    ordered = sorted(1e3 * each for each in times)
    p50, p99 = (ordered[int(share * len(ordered))] for share in (0.5, 0.99))
    return Row(
        f"{what}, {HELD:,} held: p99",
        p99,
        "ms",
        f"<= {target_ms:g} ms",
        p99 <= target_ms,
        note=f"p50 {p50:.3f} ms, the slowest {ordered[-1]:.2f} ms of {len(ordered):,}",
    )


if __name__ == "__main__":
    show(measure())
