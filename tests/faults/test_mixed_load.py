"""Everything at once, while workers are killed: every call ends, once, with its own answer."""

import asyncio

import pytest

from tests.faults.load import Load
from tests.faults.observing import figure, until, wait_until_all_alive
from tests.servers import serving

POOLS = ("call", "stream")


def drill(seconds: float) -> None:
    with serving("--workers", "3", "--queue", "64") as own, own.client() as http:
        load = Load(own, seconds, seed=1)
        outcome = asyncio.run(load.run())
        assert not outcome.wrong, (outcome.wrong[:10], outcome.ends)
        assert outcome.ends.total() == outcome.begun
        assert outcome.ends["ok"] > 20 * seconds
        assert load.kills > seconds / 2
        wait_until_all_alive(http, 6.0)
        restarts = sum(figure(http, "sensorium_worker_restarts_total", p) for p in POOLS)
        assert restarts >= load.kills / 2, "most kills met a living worker"
        for lane in ("process", "big", "stream", "thread"):
            until(lambda lane=lane: figure(http, "sensorium_slots_in_use", lane) == 0, 2, lane)
            assert figure(http, "sensorium_queue_depth", lane) == 0
        assert http.post("/v1/testing/process", json={"token": "after"}).status_code == 200


def test_ten_seconds() -> None:
    drill(10)


@pytest.mark.soak
@pytest.mark.timeout(240)
def test_a_minute() -> None:
    drill(60)
