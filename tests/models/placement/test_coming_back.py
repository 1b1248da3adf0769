"""A model whose process died, and those who call it before it is back."""

import asyncio
import hashlib
import os
import signal
from pathlib import Path

import numpy as np
import pytest

from sensorium.control.models import ModelRuntime
from sensorium.control.turns import Compute, Turns
from sensorium.core.arrays import to_array, to_tensor
from sensorium.core.asking import Tokenize, Tokens
from sensorium.core.dispatch import Priority
from sensorium.core.errors import UnavailableError
from sensorium.models.backends.base import LoadOptions
from sensorium.models.exchange import ModelChangedError, Request
from sensorium.models.placement.inproc import Inproc
from sensorium.models.placement.process import InProcess
from sensorium.models.settings import ModelSettings
from tests.models import files
from tests.models.placement import gated
from tests.models.placement.working import text, with_model
from tests.workers.test_pool import until

OPTIONS = LoadOptions(threads=1)
ONE = Request([to_tensor("x", np.ones((1, 8), np.float32))], ["y"])


@pytest.fixture
def gate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> gated.Gate:
    path = tmp_path / "gate"
    monkeypatch.setenv(gated.GATE, str(path))
    monkeypatch.setattr("sensorium.models.placement.process.SERVE", gated.SERVE)
    return gated.Gate(path)


async def dead(placed: InProcess, gate: gated.Gate) -> int:
    """Kill its process, have the next one wait with loading, and return that one."""
    before = placed.pid
    assert before is not None
    gate.shut()
    os.kill(before, signal.SIGKILL)
    await until(lambda: placed.pid not in (None, before))
    after = placed.pid
    assert after is not None
    return after


def test_impatient_callers_do_not_keep_a_model_from_coming_back(
    gate: gated.Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sensorium.models.placement.process.TOKEN_GRACE_S", 0.01)

    async def work(placed: InProcess) -> None:
        expected = await text(placed)
        pid = await dead(placed, gate)
        (worker,) = placed._pool.workers
        asked = Tokenize(text="a", special=False)
        for _ in range(3):
            callers = [
                asyncio.ensure_future(text(placed)),
                asyncio.ensure_future(placed.ask(asked, Tokens)),
            ]
            done, _ = await asyncio.wait(callers, timeout=0.1)
            assert not done
            for each in callers:
                each.cancel()
            await asyncio.wait(callers)
        assert len(worker.calls) == 1, "the loading"
        waiting = asyncio.ensure_future(text(placed))
        gate.open()
        assert await waiting == expected
        assert placed.pid == pid, "the same process, in which the loading began"

    with_model(work)


def test_a_model_that_is_closed_while_it_comes_back_tells_its_callers(gate: gated.Gate) -> None:
    async def work(placed: InProcess) -> None:
        await dead(placed, gate)
        caller = asyncio.ensure_future(placed.ask(Tokenize(text="a", special=False), Tokens))
        done, _ = await asyncio.wait([caller], timeout=0.1)
        assert not done
        await placed.close()
        with pytest.raises(UnavailableError, match="died"):
            await caller

    with_model(work)


def test_others_run_while_a_model_comes_back(gate: gated.Gate, tmp_path: Path) -> None:
    """One turn for both models; the caller of the one that is gone stays, and then leaves."""

    async def work() -> None:
        path = files.mlp(tmp_path)
        placed = await InProcess.load(files.artifact(path), OPTIONS)
        other = await Inproc.load(files.artifact(path), OPTIONS)
        compute = Compute(1)
        try:
            turns, others = (Turns(each, OPTIONS, compute, 16) for each in (placed, other))
            (expected,) = await turns.infer(ONE, Priority.INTERACTIVE)
            await dead(placed, gate)
            leaving = asyncio.ensure_future(turns.infer(ONE, Priority.INTERACTIVE))
            staying = asyncio.ensure_future(turns.infer(ONE, Priority.INTERACTIVE))
            for _ in range(3):
                await others.infer(ONE, Priority.INTERACTIVE)
            leaving.cancel()
            await until(lambda: compute.in_use == 0 and turns.waiting == 1)
            gate.open()
            (found,) = await staying
            np.testing.assert_array_equal(to_array(found), to_array(expected))
        finally:
            await placed.close()
            await other.close()

    async def bounded() -> None:
        async with asyncio.timeout(60):
            await work()

    asyncio.run(bounded())


async def changed_under_it(path: Path, gate: gated.Gate, *, read: bool) -> None:
    """Have a model's file replaced, before or while a new process reads it."""
    placed = await InProcess.load(files.artifact(path), OPTIONS)
    try:
        if not read:
            replaced(path)
        await dead(placed, gate)
        caller = placed.run([ONE])
        if read:
            (worker,) = placed._pool.workers
            await until(lambda: bool(worker.calls))
            replaced(path)
        gate.open()
        with pytest.raises(ModelChangedError) as caught:
            await caller
        assert caught.value.retry_after_s
        with pytest.raises(ModelChangedError):
            await placed.run([ONE])
    finally:
        await placed.close()


def replaced(path: Path) -> None:
    """Put another model's file in the place of this one."""
    other = files.mlp(path.parent / "other", seed=2)
    other.replace(path)


@pytest.mark.parametrize("read", [False, True])
def test_other_files_do_not_come_back_under_the_old_digest(
    read: bool, gate: gated.Gate, tmp_path: Path
) -> None:
    asyncio.run(changed_under_it(files.mlp(tmp_path / "m"), gate, read=read))


def test_a_model_whose_files_changed_is_loaded_afresh(tmp_path: Path) -> None:
    path = files.mlp(tmp_path / "m")

    async def work() -> None:
        runtime = ModelRuntime(ModelSettings(), tmp_path)
        infer = runtime.inference.infer
        try:
            loaded = await runtime.pool.load("m", options=LoadOptions(placement="process"))
            before = await infer("m", ONE.inputs)
            replaced(path)
            assert (await infer("m", ONE.inputs)).digest == before.digest, "it is still that one"
            placed = loaded.placed
            assert isinstance(placed, InProcess)
            pid = placed.pid
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            await until(lambda: placed.pid != pid)
            with pytest.raises(ModelChangedError):
                await infer("m", ONE.inputs)
            await until(lambda: not runtime.pool.loaded)
            after = await infer("m", ONE.inputs)
            assert after.digest == hashlib.sha256(path.read_bytes()).hexdigest() != before.digest
            assert [each.data for each in after.outputs] != [each.data for each in before.outputs]
        finally:
            await runtime.close()

    async def bounded() -> None:
        async with asyncio.timeout(60):
            await work()

    asyncio.run(bounded())
