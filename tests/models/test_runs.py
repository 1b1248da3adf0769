"""One model in its place: runs, joined runs, interruption, and the death of its process."""

import asyncio
import os
import signal
import time

import numpy as np
import onnxruntime as ort
import pytest

from sensorium.control.turns import Compute, Turns
from sensorium.core.arrays import to_array, to_tensor
from sensorium.core.dispatch import Priority
from sensorium.core.errors import (
    CancelledCallError,
    InvalidInputError,
    SensoriumError,
    UnavailableError,
)
from sensorium.core.tensors import Tensor
from sensorium.models.backends.base import LoadOptions
from sensorium.models.exchange import Request
from sensorium.models.placement.inproc import Inproc
from sensorium.models.placement.process import InProcess
from tests.models import files
from tests.workers.test_pool import until

OPTIONS = LoadOptions()
PLACES = pytest.mark.parametrize("place", [Inproc, InProcess])


def tensor(array, name="x"):
    return to_tensor(name, np.asarray(array))


async def infer(placed, array, output="y"):
    (found,) = await placed.run([Request([tensor(array)], [output])])
    if isinstance(found, SensoriumError):
        raise found
    return to_array(found[0])


@PLACES
def test_a_model_gives_what_onnxruntime_gives(place, tmp_path):
    path = files.mlp(tmp_path)
    x = np.random.default_rng(1).random((5, 8), dtype=np.float32)
    (expected,) = ort.InferenceSession(path).run(None, {"x": x})

    async def run():
        placed = await place.load(files.artifact(path), OPTIONS)
        try:
            assert placed.facts.joins
            np.testing.assert_array_equal(await infer(placed, x), expected)
        finally:
            await placed.close()

    asyncio.run(run())


@PLACES
def test_rows_that_are_time_are_never_joined(place, tmp_path):
    async def run():
        placed = await place.load(files.artifact(files.running_sum(tmp_path)), OPTIONS)
        try:
            assert not placed.facts.joins
            turns = Turns(placed, OPTIONS, Compute(1), 256)
            ones = Request([tensor(np.ones((3, 2), np.float32))], ["y"])
            found = await asyncio.gather(
                *(turns.infer(ones, Priority.INTERACTIVE) for _ in range(20))
            )
            for (each,) in found:
                assert to_array(each)[:, 0].tolist() == [1, 2, 3]
        finally:
            await placed.close()

    asyncio.run(run())


@PLACES
def test_no_answer_reaches_another_caller(place, tmp_path):
    """10^4 calls with inputs of their own, many at once, of one to three rows."""

    async def run():
        placed = await place.load(files.artifact(files.echo(tmp_path)), OPTIONS)
        turns = Turns(placed, OPTIONS, Compute(1), 256)

        async def caller(number):
            for turn in range(100):
                mark = number * 1000 + turn
                sent = np.full((1 + mark % 3, 4), mark, dtype=np.int64)
                request = Request([tensor(sent)], ["y"])
                (found,) = await turns.infer(request, Priority.INTERACTIVE)
                np.testing.assert_array_equal(to_array(found), sent)

        try:
            await asyncio.gather(*(caller(number) for number in range(100)))
        finally:
            await placed.close()
        assert turns.requests == 10_000
        assert turns.runs < 5_000, "requests that wait are joined"

    asyncio.run(run())


def test_one_bad_request_harms_no_other_in_its_run(tmp_path):
    """A Gather with an index out of range fails the whole run; the others run again."""
    table = files.numpy_helper.from_array(np.arange(10, dtype=np.float32), "table")
    nodes = [files.helper.make_node("Gather", ["table", "x"], ["y"])]
    path = files.save(tmp_path, nodes, [("x", 7, [None, 1])], [("y", 1, [None, 1])], [table])

    async def run():
        placed = await Inproc.load(files.artifact(path), OPTIONS)
        try:
            assert placed.facts.joins
            requests = [Request([tensor(np.array([[n]], np.int64))], ["y"]) for n in (3, 99, 4)]
            first, second, third = await placed.run(requests)
            assert to_array(first[0]).tolist() == [[3.0]]
            assert isinstance(second, InvalidInputError)
            assert to_array(third[0]).tolist() == [[4.0]]
        finally:
            await placed.close()

    asyncio.run(run())


@PLACES
def test_a_run_that_nobody_waits_for_ends_soon(place, tmp_path):
    path = files.slow(tmp_path)

    async def run():
        placed = await place.load(files.artifact(path), OPTIONS)
        try:
            await infer(placed, np.ones((1, 256), np.float32))
            turns = Turns(placed, OPTIONS, Compute(1), 256)
            request = Request([tensor(np.ones((9000, 256), np.float32))], ["y"])
            began = time.perf_counter()
            call = asyncio.ensure_future(turns.infer(request, Priority.INTERACTIVE))
            await asyncio.sleep(0.1)
            assert not call.done()
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            small = Request([tensor(np.ones((1, 256), np.float32))], ["y"])
            await turns.infer(small, Priority.INTERACTIVE)
            assert time.perf_counter() - began < 20.0
        finally:
            await placed.close()

    asyncio.run(run())


def test_a_killed_process_fails_its_calls_at_once_and_comes_back(tmp_path):
    path = files.slow(tmp_path)

    async def run():
        placed = await InProcess.load(files.artifact(path), OPTIONS)
        try:
            one = np.ones((1, 256), np.float32)
            await infer(placed, one)
            running = placed.run([Request([tensor(np.ones((9000, 256), np.float32))], ["y"])])
            await asyncio.sleep(0.05)
            killed = time.perf_counter()
            os.kill(placed.pid, signal.SIGKILL)
            with pytest.raises(UnavailableError, match="died"):
                await asyncio.wait_for(running, 20)
            np.testing.assert_array_equal(await asyncio.wait_for(infer(placed, one), 60), one)
            return time.perf_counter() - killed
        finally:
            await placed.close()

    assert asyncio.run(run()) < 60.0


@PLACES
@pytest.mark.parametrize("damage", [b"", b"\x08\x09", b"GGUF" * 40, os.urandom(400)])
def test_a_damaged_file_is_a_typed_error(place, damage, tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(damage)

    async def run():
        with pytest.raises(InvalidInputError) as caught:
            await place.load(files.artifact(path), OPTIONS)
        assert str(tmp_path) not in caught.value.message

    asyncio.run(run())


def test_a_provider_that_is_missing_is_never_the_cpu_in_silence(tmp_path):
    path = files.mlp(tmp_path)

    async def run():
        with pytest.raises(UnavailableError, match="cuda is not available here"):
            await Inproc.load(files.artifact(path), LoadOptions(providers=["cuda"]))
        wanted = LoadOptions(providers=["cuda"], fallback=True)
        placed = await Inproc.load(files.artifact(path), wanted)
        assert placed.facts.spec.providers == ["cpu"]
        assert placed.facts.spec.degraded.startswith("cuda: ")
        await placed.close()

    asyncio.run(run())


@pytest.mark.parametrize(
    ("kind", "datatype"),
    [(9, "BOOL"), (3, "INT8"), (13, "UINT64"), (10, "FP16"), (16, "BF16"), (11, "FP64")],
)
def test_every_datatype_goes_in_and_out(kind, datatype, tmp_path):
    path = files.identity(tmp_path, kind, [None, 2])
    sent = Tensor(name="x", datatype=datatype, shape=[1, 2], values=[1, 0])

    async def run():
        placed = await Inproc.load(files.artifact(path), OPTIONS)
        ((found,),) = await placed.run([Request([sent], ["y"])])
        await placed.close()
        return found

    found = asyncio.run(run())
    assert (found.datatype, found.shape, bytes(found.data)) == (datatype, [1, 2], sent.data)


def test_strings_go_in_and_out(tmp_path):
    path = files.identity(tmp_path, 8, [None, 2])
    sent = Tensor(name="x", datatype="BYTES", shape=[1, 2], strings=["héllo", ""])

    async def run():
        placed = await Inproc.load(files.artifact(path), OPTIONS)
        ((found,),) = await placed.run([Request([sent], ["y"])])
        await placed.close()
        return found

    assert asyncio.run(run()).data == sent.data


def test_an_interrupted_run_is_said_to_be_cancelled(tmp_path):
    path = files.slow(tmp_path)

    async def run():
        placed = await Inproc.load(files.artifact(path), OPTIONS)
        try:
            running = placed.run([Request([tensor(np.ones((9000, 256), np.float32))], ["y"])])
            await asyncio.sleep(0.1)
            placed.interrupt()
            (found,) = await asyncio.wait_for(running, 60)
            assert isinstance(found, CancelledCallError)
        finally:
            await placed.close()

    asyncio.run(run())


def test_a_frozen_process_is_killed_and_its_calls_end(tmp_path, monkeypatch):
    """SIGSTOP in the middle of a run: nobody waits for ever, and the model comes back."""
    monkeypatch.setattr("sensorium.workers.pool.BUSY_BEATS", 2)
    path = files.slow(tmp_path)

    async def run():
        placed = await InProcess.load(files.artifact(path), OPTIONS)
        try:
            running = placed.run([Request([tensor(np.ones((9000, 256), np.float32))], ["y"])])
            await asyncio.sleep(0.1)
            os.kill(placed.pid, signal.SIGSTOP)
            with pytest.raises(UnavailableError, match="died"):
                await asyncio.wait_for(running, 60)
            one = np.ones((1, 256), np.float32)
            np.testing.assert_array_equal(await asyncio.wait_for(infer(placed, one), 60), one)
        finally:
            await placed.close()

    asyncio.run(run())


def test_a_run_that_needs_more_memory_than_it_may_is_a_typed_error(tmp_path):
    """The process keeps to its limit; whether it survives that or not, the next call is served."""
    options = LoadOptions(memory_bytes=700 << 20, max_batch=1)
    path = files.identity(tmp_path, 1, [None, 1024])

    async def run():
        placed = await InProcess.load(files.artifact(path), options)
        try:
            much = np.ones((100_000, 1024), np.float32)
            with pytest.raises(SensoriumError) as caught:
                await infer(placed, np.concatenate([much, much]))
            assert type(caught.value) is not SensoriumError, "it is said what is wrong"
            one = np.ones((1, 1024), np.float32)
            np.testing.assert_array_equal(await asyncio.wait_for(infer(placed, one), 60), one)
        finally:
            await placed.close()

    asyncio.run(run())


def test_an_idle_process_that_dies_is_back_with_its_model_before_it_is_wanted(tmp_path):
    async def run():
        placed = await InProcess.load(files.artifact(files.mlp(tmp_path)), OPTIONS)
        try:
            before = placed.pid
            os.kill(before, signal.SIGKILL)
            began = time.perf_counter()
            await until(lambda: placed.pid not in (None, before))
            found = await infer(placed, np.ones((1, 8), np.float32))
            assert found.shape == (1, 3)
            return time.perf_counter() - began
        finally:
            await placed.close()

    assert asyncio.run(run()) < 30, "no caller has to ask for it"


def test_a_process_that_never_comes_up_is_an_error_and_not_a_wait(tmp_path):
    options = LoadOptions(memory_bytes=1000)

    async def run():
        with pytest.raises(SensoriumError, match="died"):
            await asyncio.wait_for(
                InProcess.load(files.artifact(files.mlp(tmp_path)), options), 100
            )

    asyncio.run(run())
