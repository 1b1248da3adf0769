"""Which runs spare themselves the model's thread, and which never do."""

import asyncio
from time import thread_time

import numpy as np
import onnx
import pytest
from onnx import TensorProto as T
from onnx import helper, numpy_helper

from sensorium.core.arrays import to_array, to_tensor
from sensorium.core.errors import InvalidInputError
from sensorium.models.backends.base import LoadOptions, ModelSpec
from sensorium.models.exchange import Request
from sensorium.models.placement.inproc import Inproc
from sensorium.models.placement.pace import LONG_S, PROOF, QUICK_S, SMALL_BYTES, Pace
from tests.models import files

TRIES = 50 * PROOF
"""A run that the machine makes long begins the count anew."""


def rows(count, width=8, name="x"):
    return Request([to_tensor(name, np.ones((count, width), dtype=np.float32))], ["y"])


async def loaded(path, **options):
    return await Inproc.load(files.artifact(path), LoadOptions(**options))


async def becomes_quick(placed, requests):
    """Whether runs are sooner or later over before anybody waits for them."""
    for _ in range(TRIES):
        run = placed.run(requests)
        if run.done():
            return True
        await run
    return False


def test_what_is_known_to_be_quick_runs_at_once_and_gives_the_same(tmp_path):
    async def work():
        placed = await loaded(files.mlp(tmp_path))
        first = placed.run([rows(1)])
        assert not first.done()  # nobody knows yet
        (expected,) = (await first)[0]
        assert await becomes_quick(placed, [rows(1)])
        for requests in ([rows(1)], [rows(1), rows(2)]):
            for (found,) in await placed.run(requests):
                assert np.allclose(to_array(found)[:1], to_array(expected))
        await placed.close()

    asyncio.run(work())


def test_what_the_model_cannot_run_is_the_same_error_at_once(tmp_path):
    async def work():
        placed = await loaded(files.mlp(tmp_path))
        assert await becomes_quick(placed, [rows(1)])
        run = placed.run([Request(rows(1).inputs, ["none"])])
        assert run.done()
        assert isinstance((await run)[0], InvalidInputError)
        await placed.close()

    asyncio.run(work())


@pytest.mark.parametrize(
    "requests",
    [
        [rows(SMALL_BYTES // 32 + 1)],
        [rows(SMALL_BYTES // 64), rows(SMALL_BYTES // 64 + 1)],
        [Request([*rows(1).inputs, *rows(2, name="z").inputs], ["y"])],
    ],
    ids=["large", "large together", "rows that differ"],
)
def test_what_is_large_or_unclear_never_runs_on_the_event_loop(requests):
    model = Burning()
    pace = Pace(model, steady=True)
    for _ in range(2 * PROOF):
        pace.run(requests)
    assert not pace.is_quick(requests)


def looping(folder):
    """x [-1, 1] INT64 -> y: x[0] rounds of a loop. Eight bytes may keep it for a century."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["on"], ["still"]),
            helper.make_node("Add", ["sum", "one"], ["more"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("round", T.INT64, []),
            helper.make_tensor_value_info("on", T.BOOL, []),
            helper.make_tensor_value_info("sum", T.INT64, [1]),
        ],
        [
            helper.make_tensor_value_info("still", T.BOOL, []),
            helper.make_tensor_value_info("more", T.INT64, [1]),
        ],
    )
    tensors = [
        numpy_helper.from_array(np.array([1], dtype=np.int64), "one"),
        numpy_helper.from_array(np.array([0], dtype=np.int64), "zero"),
        numpy_helper.from_array(np.array(True), "yes"),
    ]
    nodes = [
        helper.make_node("ReduceMax", ["x"], ["times"], keepdims=0),
        helper.make_node("Loop", ["times", "yes", "zero"], ["y"], body=body),
    ]
    return files.save(folder, nodes, [("x", T.INT64, [None, 1])], [("y", T.INT64, [1])], tensors)


def reshaping(folder):
    """x [-1, 4], to [-1] -> x in that shape: what follows may be as large as its values say."""
    nodes = [helper.make_node("Reshape", ["x", "to"], ["y"])]
    inputs = [("x", T.FLOAT, [None, 4]), ("to", T.INT64, [None])]
    return files.save(folder, nodes, inputs, [("y", T.FLOAT, [None, None])])


def foreign(folder):
    """An operator of another domain than the standard's, under a name that the standard has."""
    path = files.mlp(folder)
    model = onnx.load(path)
    model.graph.node[1].CopyFrom(helper.make_node("Gelu", ["h0"], ["r0"], domain="com.microsoft"))
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    onnx.save(model, path)
    return path


def functional(folder):
    """A function of the model's own under the name of an operator."""
    path = files.mlp(folder)
    model = onnx.load(path)
    nodes = [helper.make_node("Relu", ["a"], ["b"])]
    opsets = [helper.make_opsetid("", 17)]
    model.functions.append(helper.make_function("own", "Tanh", ["a"], ["b"], nodes, opsets))
    model.graph.node[1].CopyFrom(helper.make_node("Tanh", ["h0"], ["r0"], domain="own"))
    model.opset_import.append(helper.make_opsetid("own", 1))
    onnx.save(model, path)
    return path


def test_how_long_a_run_takes_is_told_from_operators_and_shapes(tmp_path):
    steady = {
        "dense": (files.mlp(tmp_path / "a"), {}),
        "echo": (files.echo(tmp_path / "b"), {}),
    }
    unsteady = {
        "a loop": (looping(tmp_path / "c"), {}),
        "a shape of values": (reshaping(tmp_path / "d"), {}),
        "an operator that is not listed": (files.running_sum(tmp_path / "e"), {}),
        "another domain": (foreign(tmp_path / "f"), {}),
        "functions": (functional(tmp_path / "g"), {}),
        "a width that may vary": (files.identity(tmp_path / "h", T.FLOAT, [None, None]), {}),
        "strings": (files.identity(tmp_path / "i", T.STRING, [None, 2]), {}),
        "no rows": (files.identity(tmp_path / "j", T.FLOAT, []), {}),
        "several threads": (files.mlp(tmp_path / "k"), {"threads": 2}),
    }

    async def work():
        for expected, models in ((True, steady), (False, unsteady)):
            for name, (path, options) in models.items():
                placed = await loaded(path, **options)
                assert placed.facts.steady is expected, name
                await placed.close()

    asyncio.run(work())


def test_a_model_that_may_loop_never_runs_on_the_event_loop(tmp_path):
    async def work():
        placed = await loaded(looping(tmp_path))
        short = [Request([to_tensor("x", np.array([[1]], dtype=np.int64))], ["y"])]
        for _ in range(3 * PROOF):
            run = placed.run(short)
            assert not run.done()
            await run
        endless = [Request([to_tensor("x", np.array([[1 << 40]], dtype=np.int64))], ["y"])]
        run = placed.run(endless)
        await asyncio.sleep(0.05)  # the event loop goes on meanwhile
        assert not run.done()
        placed.interrupt()
        await asyncio.wait_for(run, 60)
        await placed.close()

    asyncio.run(work())


class Burning:
    """A model whose runs take as much of the processor as it is told."""

    spec = ModelSpec(platform="test", inputs=[], outputs=[])

    def __init__(self):
        self.seconds = 0.0

    def infer(self, inputs, outputs):
        until = thread_time() + self.seconds
        while thread_time() < until:
            pass
        return {}

    def interrupt(self):
        pass

    def close(self):
        pass


def proven(pace, requests):
    for _ in range(TRIES):
        pace.run(requests)
        if pace.is_quick(requests):
            return True
    return False


def test_one_long_run_sends_the_next_to_the_thread_and_quick_ones_bring_them_back():
    model = Burning()
    pace = Pace(model, steady=True)
    assert proven(pace, [rows(1)])
    assert not pace.is_quick([rows(2)])  # of which nothing is known
    model.seconds = 1.0
    pace.run([rows(1)])
    assert not pace.is_quick([rows(1)])
    model.seconds = 0.0
    for _ in range(PROOF - 1):
        pace.run([rows(1)])
        assert not pace.is_quick([rows(1)])
    assert proven(pace, [rows(1)])


def test_runs_that_fail_prove_nothing():
    class Refusing(Burning):
        def infer(self, inputs, outputs):
            raise InvalidInputError("no")

    pace = Pace(Refusing(), steady=True)
    for _ in range(2 * PROOF):
        pace.run([rows(1)])
    assert not pace.is_quick([rows(1)])


def test_what_is_about_as_long_as_the_limit_changes_nothing():
    model = Burning()
    pace = Pace(model, steady=True)
    model.seconds = (QUICK_S + LONG_S) / 2
    for _ in range(2 * PROOF):
        pace.run([rows(1)])
    assert not pace.is_quick([rows(1)])


def test_a_slow_model_stays_on_its_thread(tmp_path):
    async def work():
        placed = await loaded(files.slow(tmp_path, rounds=30, width=256))
        for _ in range(2 * PROOF):
            run = placed.run([rows(32, 256)])
            assert not run.done()
            await run
        await placed.close()

    asyncio.run(work())
