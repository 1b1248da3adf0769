"""The long drills of the model runtime: nothing is left behind, whatever is done how often."""

import asyncio
import time

import numpy as np
import psutil
import pytest

from sensorium.control.turns import Compute, Turns
from sensorium.core.arrays import to_array, to_tensor
from sensorium.core.dispatch import Priority
from sensorium.models.backends.base import LoadOptions
from sensorium.models.exchange import Request
from sensorium.models.placement.inproc import Inproc
from sensorium.models.placement.process import InProcess
from sensorium.models.pool import Pool
from tests.models import files
from tests.models.flat import Watched
from tests.models.mixed import Mixed
from tests.servers import serving

pytestmark = pytest.mark.soak
PLACES = pytest.mark.parametrize("place", [Inproc, InProcess])
OPTIONS = LoadOptions()
LIMIT_S = 300.0
CALLERS = 64


def alone() -> bool:
    """Whether this process has no children."""
    return not psutil.Process().children()


async def load_and_unload(place, path, times):
    """So many lives of a model, each with a call."""
    artifact = files.artifact(path)
    watched = Watched()
    x = np.ones((1, 256), np.float32)

    async def placed(artifact, options):
        return await place.load(artifact, options)

    pool = Pool(
        lambda name, version: artifact,
        placed,
        lambda artifact, options: 1 << 20,
        budget=lambda: 1 << 30,
        keep_alive_s=-1,
    )
    descriptors = 0
    for number in range(times):
        async with pool.use("model") as loaded:
            (found,) = await loaded.placed.run([Request([to_tensor("x", x)], ["y"])])
            assert to_array(found[0]).shape == (1, 64)
        await pool.unload("model")
        watched.look()
        if number == times // 10:
            descriptors = watched.descriptors()
    assert not pool.room.used_bytes
    await pool.close()
    assert watched.descriptors() <= descriptors + 2
    return watched.growth_mib()


@PLACES
@pytest.mark.timeout(1200)
def test_500_loads_and_unloads_leave_nothing_behind(place, tmp_path):
    path = files.dense(tmp_path, (256, 1024, 1024, 64))
    assert asyncio.run(load_and_unload(place, path, 500)) < 4.0, "a model is 5 MiB"
    assert alone()


async def echo(place, path, calls):
    """So many calls with inputs of their own, or as many as the time allows; how many came back."""
    watched = Watched()
    placed = await place.load(files.artifact(path), OPTIONS)
    turns = Turns(placed, OPTIONS, Compute(1), CALLERS)
    until = time.monotonic() + LIMIT_S
    done = 0

    async def caller(number):
        nonlocal done
        for mark in range(number, calls, CALLERS):
            sent = np.full((1 + mark % 3, 4), mark, dtype=np.int64)
            sent[:, 1] = number
            request = Request([to_tensor("x", sent)], ["y"])
            (found,) = await turns.infer(request, Priority.INTERACTIVE)
            assert bytes(found.data) == sent.tobytes(), "another's answer"
            done += 1
            if not done % 2000:
                watched.look()
            if time.monotonic() > until:
                return

    try:
        descriptors = watched.descriptors()
        await asyncio.gather(*(caller(number) for number in range(CALLERS)))
        assert watched.descriptors() <= descriptors + 2
        assert turns.requests == done
    finally:
        await placed.close()
    return done, watched.growth_mib()


@PLACES
@pytest.mark.timeout(600)
def test_a_million_calls_come_back_to_their_callers(place, tmp_path):
    done, growth = asyncio.run(echo(place, files.echo(tmp_path), 1_000_000))
    assert done > 200_000, "more than a thousandth of a second each"
    assert growth < 8.0
    assert alone()


def drill(folder, seconds):
    """A server with models under everything at once, while their processes are killed."""
    for name in ("here", "there", "moving"):
        files.echo(folder / name)
    files.slow(folder / "slow")
    (folder / "damaged").mkdir()
    (folder / "damaged" / "model.onnx").write_bytes(b"\x08\x09nothing")
    with serving(environ={"SENSORIUM_MODEL_CACHE_PATH": str(folder)}) as server:
        mixed = Mixed(server, seconds, seed=1)
        asyncio.run(mixed.run())
        assert not mixed.wrong, (mixed.wrong[:10], mixed.ends)
        assert mixed.ends["ok"] > 20 * seconds
        assert mixed.kills > seconds / 10
        assert mixed.ends["unavailable"] < 40 * mixed.kills, "who waits for its process alone"
        mixed.wait_until_settled()
        assert mixed.server.growth_mib() < 24.0
    return mixed


@pytest.mark.timeout(1200)
def test_ten_minutes_of_everything_at_once(tmp_path):
    drill(tmp_path, 600.0)
