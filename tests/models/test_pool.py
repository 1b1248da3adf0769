"""The pool: loads once, keeps, evicts what is idle, swaps under its callers and loses no call."""

import asyncio
from concurrent.futures import Future

import numpy as np
import pytest

from sensorium.core.arrays import to_array, to_tensor
from sensorium.core.errors import (
    InvalidInputError,
    NotFoundError,
    NotSupportedError,
    OverloadedError,
)
from sensorium.core.telemetry import request_id
from sensorium.models.backends.base import LoadOptions
from sensorium.models.exchange import Request
from sensorium.models.placement.inproc import Inproc
from sensorium.models.pool import Pool, log
from tests.models import files
from tests.workers.test_pool import until

MIB = 1 << 20


class Shelf:
    """Models on disk by name and version, and how often each was loaded."""

    def __init__(self, folder, names=("a", "b", "c"), weight=MIB):
        self.weight = weight
        self.weights = {}
        self.may_go_on = asyncio.Event()
        self.may_go_on.set()
        self.loads = []
        self.there = {
            (name, "1"): files.artifact(files.mlp(folder / name, seed=seed), name)
            for seed, name in enumerate(names)
        }

    def find(self, name, version):
        for (known, number), artifact in self.there.items():
            if known == name and version in ("", number):
                return artifact
        raise NotFoundError(f"there is no model {name}")

    def add_version(self, name, version):
        path = self.there[name, "1"].path
        newest = files.artifact(path, name, version)
        self.there = {(name, version): newest, **self.there}

    async def place(self, artifact, options):
        self.loads.append(artifact.name)
        await self.may_go_on.wait()
        return await Inproc.load(artifact, options)

    def pool(self, budget=64 * MIB, keep_alive_s=300.0):
        def weigh(artifact, options):
            return self.weights.get(artifact.name, self.weight)

        return Pool(self.find, self.place, weigh, budget=lambda: budget, keep_alive_s=keep_alive_s)


@pytest.fixture
def shelf(tmp_path):
    return Shelf(tmp_path)


def run(pool, work):
    async def inside():
        try:
            return await work()
        finally:
            await pool.close()

    return asyncio.run(inside())


async def one(loaded, fill=1.0):
    x = to_tensor("x", np.full((1, 8), fill, np.float32))
    ((y,),) = await loaded.placed.run([Request([x], ["y"])])
    return to_array(y)


def test_a_model_that_many_want_is_loaded_once(shelf):
    pool = shelf.pool()

    async def call():
        async with pool.use("a") as loaded:
            return await one(loaded)

    async def work():
        return await asyncio.gather(*(call() for _ in range(20)))

    found = run(pool, work)
    assert shelf.loads == ["a"]
    assert all(np.array_equal(each, found[0]) for each in found)


def test_the_longest_unused_makes_room_and_a_used_one_never(shelf):
    pool = shelf.pool(budget=2 * MIB)

    async def work():
        await pool.load("a")
        await pool.load("b")
        async with pool.use("a") as a:
            await one(a)
        await pool.load("c")
        assert {each.artifact.name for each in pool.loaded} == {"a", "c"}
        async with pool.use("a") as a, pool.use("c"):
            with pytest.raises(OverloadedError, match="b needs 1 MiB"):
                await pool.load("b")
            await one(a)
        assert pool.room.used_bytes == 2 * MIB

    run(pool, work)


def test_an_idle_model_is_unloaded_after_its_time_and_at_once_with_zero(shelf, monkeypatch):
    pool, told = shelf.pool(), []
    monkeypatch.setattr(log, "info", lambda *line, **_: told.append((*line, request_id.get())))

    async def work():
        request_id.set("who loaded it")
        await pool.load("a", keep_alive_s=0.5)
        await pool.load("b", keep_alive_s=-1)
        async with pool.use("c") as c:
            c.keep_alive_s = 0
            await one(c)
        assert {each.artifact.name for each in pool.loaded} == {"a", "b"}
        await until(lambda: len(pool.loaded) == 1)
        assert pool.loaded[0].artifact.name == "b"
        assert pool.loaded[0].expires_in_s is None
        assert told[-1] == ("%s is unloaded: idle", "a", ""), "nobody's request has done it"

    run(pool, work)


def test_a_model_is_swapped_under_its_callers_and_loses_none(shelf):
    pool = shelf.pool()
    done, stop = [], False

    async def caller():
        while not stop:
            async with pool.use("a") as loaded:
                done.append(await one(loaded))

    async def work():
        nonlocal stop
        first = await pool.load("a")
        callers = [asyncio.create_task(caller()) for _ in range(4)]
        for _ in range(5):
            await pool.load("a", fresh=True)
        stop = True
        await asyncio.gather(*callers)
        assert first.retired
        return len(pool.loaded)

    assert run(pool, work) == 1
    assert len(shelf.loads) == 6
    assert done


def test_a_model_that_is_unloaded_in_use_serves_its_call_first(shelf):
    pool = shelf.pool()

    async def work():
        async with pool.use("a") as loaded:
            await pool.unload("a")
            assert pool.loaded == []
            await one(loaded)
        with pytest.raises(NotFoundError, match="not loaded"):
            await pool.unload("a")

    run(pool, work)


def test_other_options_load_another(shelf):
    pool = shelf.pool()

    async def work():
        await pool.load("a")
        loaded = await pool.load("a", options=LoadOptions(max_batch=1))
        assert not loaded.placed.facts.joins
        assert await pool.load("a") is loaded

    run(pool, work)


def test_an_alias_and_the_highest_version_are_meant(shelf, tmp_path):
    second = files.artifact(files.mlp(tmp_path / "a2", seed=9), "a", "2")
    shelf.there = {("a", "2"): second, **shelf.there}
    pool = shelf.pool()
    pool.alias("best", "a")

    async def work():
        async with pool.use("best") as newest, pool.use("a", "1") as oldest:
            assert newest.artifact.version == "2"
            assert oldest.artifact.version == "1"
            assert not np.array_equal(await one(newest), await one(oldest))

    run(pool, work)


def test_a_model_that_cannot_be_loaded_holds_no_memory(shelf):
    (shelf.there["a", "1"].path).write_bytes(b"nothing")
    pool = shelf.pool()

    async def work():
        for _ in range(3):
            with pytest.raises(Exception, match="the onnx file of a cannot be used"):
                await pool.load("a")
        assert pool.room.used_bytes == 0
        async with pool.use("b") as b:
            await one(b)

    run(pool, work)


def test_loading_and_unloading_50_times_leaves_no_memory_reckoned(shelf):
    pool = shelf.pool()

    async def work():
        for _ in range(50):
            async with pool.use("a") as loaded:
                await one(loaded)
            await pool.unload("a")

    run(pool, work)
    assert pool.room.used_bytes == 0


def test_an_alias_that_is_moved_means_the_other_at_once(shelf):
    pool = shelf.pool()
    pool.alias("best", "a")

    async def work():
        async with pool.use("best") as before:
            assert before.artifact.name == "a"
        pool.alias("best", "b")
        async with pool.use("best") as after:
            assert after.artifact.name == "b"

    run(pool, work)


def test_all_who_wait_for_a_model_that_cannot_be_loaded_hear_of_one_try(shelf):
    shelf.there["a", "1"].path.write_bytes(b"nothing")
    pool = shelf.pool()
    tries = []

    async def place(artifact, options):
        tries.append(artifact.name)
        await asyncio.sleep(0.05)
        return await Inproc.load(artifact, options)

    pool._place = place

    async def work():
        waiting = (pool.load("a") for _ in range(20))
        for result in await asyncio.gather(*waiting, return_exceptions=True):
            assert isinstance(result, InvalidInputError)
        assert tries == ["a"]

    run(pool, work)


def test_a_load_that_fails_for_its_options_fails_nobody_else(shelf):
    pool = shelf.pool()

    async def work():
        wrong = asyncio.create_task(pool.load("a", options=LoadOptions(providers=["cuda"])))
        await asyncio.sleep(0)
        await asyncio.sleep(0.005)
        assert (await pool.load("a")).artifact.name == "a"
        with pytest.raises(Exception, match="cuda"):
            await wrong

    run(pool, work)


def test_what_is_retired_and_still_in_use_counts(shelf):
    pool = shelf.pool(budget=2 * MIB)

    async def work():
        async with pool.use("a"):
            await pool.load("a", fresh=True)
            assert pool.room.used_bytes == 2 * MIB
            with pytest.raises(OverloadedError):
                async with pool.use("a"):
                    await pool.load("b")
        await until(lambda: pool.room.used_bytes == MIB)

    run(pool, work)


def test_what_is_deleted_is_forgotten_with_its_other_names(shelf):
    pool = shelf.pool()
    pool.alias("best", "a")

    async def work():
        await pool.load("best")
        await pool.load("b")
        await pool.forget(shelf.there["a", "1"].path)
        assert [each.artifact.name for each in pool.loaded] == ["b"]
        assert pool.aliases == {}

    run(pool, work)


def test_a_model_that_can_never_fit_evicts_none_and_says_what_to_do(shelf):
    shelf.weights["c"] = 10 * MIB
    pool = shelf.pool(budget=2 * MIB)

    async def work():
        await pool.load("a")
        await pool.load("b", keep_alive_s=-1)
        with pytest.raises(NotSupportedError, match="--model-memory-bytes") as refused:
            await pool.load("c")
        assert refused.value.retry_after_s is None
        assert {each.artifact.name for each in pool.loaded} == {"a", "b"}

    run(pool, work)


def test_a_model_that_all_idle_ones_would_not_make_room_for_evicts_none(shelf):
    shelf.weights["c"] = 3 * MIB
    pool = shelf.pool(budget=3 * MIB)

    async def work():
        await pool.load("b")
        async with pool.use("a"):
            with pytest.raises(OverloadedError, match="3 MiB of which 1 are in use") as refused:
                await pool.load("c")
            assert refused.value.retry_after_s
            assert {each.artifact.name for each in pool.loaded} == {"a", "b"}
        assert (await pool.load("c")).artifact.name == "c"

    run(pool, work)


def test_who_waits_for_a_digest_holds_no_thread(shelf):
    pool, digested, asked = shelf.pool(), Future(), []
    digested.set_running_or_notify_cancel()

    def find(name, version):
        asked.append(name)
        return digested if name == "a" else shelf.find(name, version)

    pool._find = find

    async def work():
        callers = [asyncio.create_task(pool.load("a")) for _ in range(50)]
        await until(lambda: len(asked) == 50)
        assert (await pool.load("b")).artifact.name == "b", "nobody stands in its way"
        callers[0].cancel()
        await asyncio.wait(callers[:1])
        digested.set_result(shelf.find("a", ""))
        assert len(set(await asyncio.gather(*callers[1:]))) == 1
        assert shelf.loads == ["b", "a"]

    run(pool, work)


def test_who_waits_for_a_load_with_other_options_gets_its_own(shelf):
    pool = shelf.pool()

    async def work():
        shelf.may_go_on.clear()
        loads = [
            asyncio.create_task(pool.load("a", options=LoadOptions(max_batch=size)))
            for size in (2, 4, 8, 4)
        ]
        await until(lambda: shelf.loads == ["a"])
        shelf.may_go_on.set()
        found = await asyncio.gather(*loads)
        assert [each.options.max_batch for each in found] == [2, 4, 8, 4]
        assert len(pool.loaded) == 1

    run(pool, work)


def test_a_call_does_not_wait_for_a_swap(shelf):
    pool = shelf.pool()
    pool.alias("best", "a")

    async def work():
        before = await pool.load("a")
        shelf.may_go_on.clear()
        swap = asyncio.create_task(pool.load("a", options=LoadOptions(max_batch=2)))
        await until(lambda: len(shelf.loads) == 2)
        async with pool.use("best") as loaded:
            assert loaded is before
        shelf.may_go_on.set()
        after = await swap
        async with pool.use("best") as loaded:
            assert loaded is after

    run(pool, work)


def test_a_new_version_is_meant_by_all_names_and_the_old_one_goes(shelf):
    pool = shelf.pool()
    pool.alias("fast", "a")

    async def work():
        await pool.load("a", keep_alive_s=-1)
        async with pool.use("fast") as old:
            assert old.artifact.version == "1"
            shelf.add_version("a", "2")
            new = await pool.load("a", fresh=True)
            assert (new.artifact.version, new.keep_alive_s) == ("2", -1)
            async with pool.use("fast") as now:
                assert now is new
            assert old.retired
            assert pool.loaded == [new]
            await one(old)
        await until(lambda: pool.room.used_bytes == MIB)

    run(pool, work)


def test_a_version_that_was_asked_for_by_its_number_stays(shelf):
    pool = shelf.pool()

    async def work():
        await pool.load("a")
        await pool.load("a", "1")
        shelf.add_version("a", "2")
        async with pool.use("a") as a:
            assert a.artifact.version == "1", "nobody looked for another"
        await pool.load("a")
        assert pool.known("a", "").artifact.version == "2"
        assert pool.known("a", "1").artifact.version == "1"
        del shelf.there["a", "2"]
        await pool.load("a")
        assert [each.artifact.version for each in pool.loaded] == ["1"], "the newest was withdrawn"

    run(pool, work)


def test_a_version_that_comes_while_an_older_one_is_loaded_is_the_one_that_answers(shelf):
    pool = shelf.pool()

    async def work():
        shelf.may_go_on.clear()
        older = asyncio.create_task(pool.load("a"))
        await until(lambda: shelf.loads == ["a"])
        shelf.add_version("a", "2")
        shelf.may_go_on.set()
        newer = await pool.load("a", fresh=True)
        assert newer.artifact.version == "2"
        assert await older is newer
        assert pool.loaded == [newer]

    run(pool, work)


def test_models_that_are_to_stay_are_evicted_last_and_come_back_as_they_were(shelf):
    pool = shelf.pool(budget=2 * MIB)
    few = LoadOptions(max_batch=2)

    async def work():
        await pool.load("a", keep_alive_s=-1, options=few)
        await pool.load("b")
        await pool.load("c")
        assert {each.artifact.name for each in pool.loaded} == {"a", "c"}
        async with pool.use("c"), pool.use("b"):
            pass
        assert {each.artifact.name for each in pool.loaded} == {"b", "c"}
        async with pool.use("a") as a:
            assert (a.options, a.keep_alive_s) == (few, -1)
        loaded = await pool.load("a", keep_alive_s=60, options=LoadOptions())
        await pool.unload("a")
        async with pool.use("a") as a:
            assert (a.options, a.keep_alive_s) == (loaded.options, 60), "another load said so"
        await pool.forget(a.artifact.path)
        async with pool.use("a") as a:
            assert a.keep_alive_s == 300, "what is deleted is forgotten"

    run(pool, work)


def test_options_outlive_a_model_that_is_not_kept(shelf):
    pool = shelf.pool()
    few = LoadOptions(max_batch=2)

    async def work():
        await pool.load("a", keep_alive_s=0, options=few)
        await until(lambda: not pool.loaded)
        async with pool.use("a") as a:
            assert a.options == few
        assert not pool.loaded

    run(pool, work)


def test_a_load_that_fails_leaves_no_options_behind(shelf):
    pool = shelf.pool()

    async def work():
        with pytest.raises(Exception, match="cuda"):
            await pool.load("a", options=LoadOptions(providers=["cuda"]))
        async with pool.use("a") as a:
            assert a.options == LoadOptions()

    run(pool, work)


def test_a_model_that_is_deleted_while_it_is_loaded_does_not_stay(shelf):
    pool = shelf.pool()

    async def work():
        shelf.may_go_on.clear()
        load = asyncio.create_task(pool.load("a"))
        await until(lambda: shelf.loads == ["a"])
        artifact = shelf.there.pop(("a", "1"))
        await pool.forget(artifact.path.parent)
        again = asyncio.create_task(pool.load("a"))
        shelf.may_go_on.set()
        for each in (load, again):
            with pytest.raises(NotFoundError):
                await each
        assert not pool.loaded
        assert not pool.room.used_bytes

    run(pool, work)


def test_a_model_is_unloaded_by_any_name_that_it_was_asked_for_by(shelf):
    pool, find = shelf.pool(), shelf.find
    pool._find = lambda name, version: find("a" if name in ("short", "org/long:q4") else name, "")
    pool.alias("best", "org/long:q4")

    async def work():
        for name in ("short", "org/long:q4", "best", "a"):
            await pool.load("b")
            await pool.load(name)
            await pool.unload(name)
            assert [each.artifact.name for each in pool.loaded] == ["b"]

    run(pool, work)
