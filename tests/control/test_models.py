"""The model runtime of a server: made when it is wanted, and told of from then on."""

import asyncio
import time
from pathlib import Path

import pytest

from sensorium.app import App, load_settings
from sensorium.control.wishes import Wish
from sensorium.core.dispatch import Caller
from sensorium.core.errors import OverloadedError
from tests.servers import serving

SAMPLE = "machine-state"


def test_it_is_made_for_what_wants_a_model_and_for_nothing_else(tmp_path: Path) -> None:
    app = App(load_settings({"data_dir": str(tmp_path)}), isolated=False)

    async def use() -> None:
        async with app.running():
            for name in ("system.ready", "system.operations", "pipelines.list"):
                await app.dispatcher.call(name, app.registry.get(name).request(), Caller())
            assert "model_runtime" not in vars(app)
            listing = app.registry.get("models.list").request()
            await app.dispatcher.call("models.list", listing, Caller())
            assert "model_runtime" in vars(app)

    asyncio.run(use())


def test_figures_and_readiness_tell_of_models_once_there_are_any() -> None:
    with serving("--workers", "1") as server, server.client() as http:
        assert "sensorium_model" not in http.get("/metrics").text
        assert http.get("/readyz").json()["models"] == {}
        http.post("/v1/models/load", json={"model": SAMPLE}).raise_for_status()
        assert f'sensorium_model_memory_bytes{{part="{SAMPLE}"}}' in http.get("/metrics").text
        assert http.get("/readyz").json()["models"] == {SAMPLE: "untested"}


@pytest.mark.parametrize("names", [SAMPLE, f"none,{SAMPLE}"])
def test_a_server_loads_beforehand_what_it_is_told_to(names: str) -> None:
    environ = {"SENSORIUM_PRELOAD": names}
    with serving("--workers", "1", environ=environ) as server, server.client() as http:
        until = time.monotonic() + 60
        while not http.get("/readyz").json()["models"] and time.monotonic() < until:
            pass
        (loaded,) = http.get("/v1/models/list").json()["loaded"]
        assert (loaded["name"], loaded["expires_in_s"]) == (SAMPLE, None)
        if "none" in names:
            assert server.logged("none cannot be loaded", "there is no model")


def test_idle_models_make_room_for_a_lease_and_not_in_vain(tmp_path: Path) -> None:
    app = App(load_settings({"data_dir": str(tmp_path)}), isolated=False)

    async def use() -> None:
        async with app.running():
            pool, leases = app.model_runtime.pool, app.model_runtime.leases
            await pool.load(SAMPLE)
            idle = pool.room.idle_bytes
            assert idle > 0
            (main,) = (each for each in await leases.devices() if each.name == "cpu")
            await leases.lease(Wish("a", main.free_bytes, ("cpu",), priority=90))
            with pytest.raises(OverloadedError):
                await leases.lease(Wish("b", idle + 1, ("cpu",), preempt=True))
            assert pool.loaded
            await leases.lease(Wish("b", idle, ("cpu",), preempt=True))
            assert not pool.loaded

    asyncio.run(use())
