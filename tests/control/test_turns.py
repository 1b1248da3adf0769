"""Turns at the compute: order, fairness, limits, and nobody left behind."""

import asyncio

import pytest

from sensorium.control.turns import Compute, Turns
from sensorium.core.dispatch import Priority
from sensorium.core.errors import InvalidInputError, OverloadedError, SensoriumError
from sensorium.core.tensors import Tensor
from sensorium.models.backends.base import LoadOptions, ModelSpec
from sensorium.models.exchange import Facts, Request

INTERACTIVE, BATCH = Priority.INTERACTIVE, Priority.BATCH


class Stage:
    """A placed model whose runs end when the test says so; it answers with its input."""

    def __init__(self, log, name="m", joins=True):
        self.log, self.name = log, name
        self.facts = Facts(
            spec=ModelSpec(platform="test", inputs=[], outputs=[]), joins=joins, seconds=0.0
        )
        self.running = None
        self.interrupted = 0
        self.coming = None

    def coming_up(self):
        return self.coming

    def run(self, requests):
        self.log.append((self.name, [mark(each) for each in requests]))
        self.requests = list(requests)
        self.running = asyncio.get_running_loop().create_future()
        return self.running

    def end(self):
        self.running.set_result([each.inputs for each in self.requests])

    def interrupt(self):
        self.interrupted += 1


def request(number: int, rows: int = 1, name: str = "x") -> Request:
    return Request(
        [Tensor(name=name, datatype="INT64", shape=[rows], values=[number] * rows)], ["y"]
    )


def mark(asked: Request) -> int:
    return int.from_bytes(bytes(asked.inputs[0].data)[:8], "little")


def run(work):
    async def bounded():
        async with asyncio.timeout(60):
            return await work()

    return asyncio.run(bounded())


async def settle():
    for _ in range(5):
        await asyncio.sleep(0)


def ask(turns, number, priority=INTERACTIVE, **more):
    return asyncio.ensure_future(turns.infer(request(number, **more), priority))


def turns_of(stage, compute=None, limit=256, **options):
    return Turns(stage, LoadOptions(**options), compute or Compute(1), limit)


def test_what_waits_goes_together_and_each_gets_its_own():
    async def work():
        log = []
        stage = Stage(log)
        turns = turns_of(stage)
        calls = [ask(turns, 1)]
        await settle()
        calls += [ask(turns, number) for number in (2, 3, 4)]
        await settle()
        stage.end()
        await settle()
        stage.end()
        found = [mark(Request(await call, [])) for call in calls]
        assert log == [("m", [1]), ("m", [2, 3, 4])]
        assert found == [1, 2, 3, 4]

    run(work)


@pytest.mark.parametrize(
    ("options", "rows", "runs"),
    [
        ({"max_batch": 4}, 2, [[2, 3], [4, 5]]),
        ({"max_batch": 1}, 1, [[2], [3], [4], [5]]),
        ({"max_batch_bytes": 24}, 1, [[2, 3, 4], [5]]),
    ],
)
def test_a_run_has_no_more_than_it_may(options, rows, runs):
    async def work():
        log = []
        stage = Stage(log)
        turns = turns_of(stage, **options)
        calls = [ask(turns, 1)]
        await settle()
        calls += [ask(turns, number, rows=rows) for number in (2, 3, 4, 5)]
        while not all(call.done() for call in calls):
            await settle()
            if not stage.running.done():
                stage.end()
        return log

    assert [marks for _, marks in run(work)] == [[1], *runs]


def test_requests_that_differ_are_not_joined():
    async def work():
        log = []
        stage = Stage(log)
        turns = turns_of(stage)
        calls = [ask(turns, 1)]
        await settle()
        calls += [ask(turns, 2, name="x"), ask(turns, 3, name="z"), ask(turns, 4, name="x")]
        while not all(call.done() for call in calls):
            await settle()
            if not stage.running.done():
                stage.end()
        return log

    assert [marks for _, marks in run(work)] == [[1], [2, 4], [3]]


def test_interactive_goes_first_and_batch_is_not_starved():
    async def work():
        log = []
        stage = Stage(log, joins=False)
        turns = turns_of(stage)
        calls = [ask(turns, 0)]
        await settle()
        calls += [ask(turns, 100 + n, BATCH) for n in range(2)]
        calls += [ask(turns, n) for n in range(1, 21)]
        while not all(call.done() for call in calls):
            await settle()
            if not stage.running.done():
                stage.end()
        return [marks[0] for _, marks in log]

    order = run(work)
    assert order[1:10] == [1, 2, 3, 4, 5, 6, 7, 8, 100]
    assert order.index(101) == 18


def test_models_take_turns_however_much_one_of_them_has_to_do():
    async def work():
        log, compute = [], Compute(1)
        busy, quiet = Stage(log, "busy", joins=False), Stage(log, "quiet", joins=False)
        many, few = turns_of(busy, compute), turns_of(quiet, compute)
        calls = [ask(many, number) for number in range(50)]
        await settle()
        calls += [ask(few, number) for number in range(3)]
        while not all(call.done() for call in calls):
            await settle()
            for stage in (busy, quiet):
                if stage.running is not None and not stage.running.done():
                    stage.end()
        assert compute.in_use == 0
        return [name for name, _ in log]

    order = run(work)
    assert [at for at, name in enumerate(order) if name == "quiet"] == [1, 3, 5]


def test_a_full_queue_refuses_at_once():
    async def work():
        stage = Stage([])
        turns = turns_of(stage, limit=2)
        calls = [ask(turns, number) for number in range(3)]
        await settle()
        with pytest.raises(OverloadedError):
            await turns.infer(request(9), INTERACTIVE)
        for _ in range(2):
            stage.end()
            await settle()
        await asyncio.gather(*calls)

    run(work)


def test_who_leaves_is_not_run_and_a_run_for_nobody_is_interrupted():
    async def work():
        log = []
        stage = Stage(log)
        turns = turns_of(stage)
        first = ask(turns, 1)
        await settle()
        second, third = ask(turns, 2), ask(turns, 3)
        await settle()
        second.cancel()
        await settle()
        assert stage.interrupted == 0
        first.cancel()
        await settle()
        assert stage.interrupted == 1
        stage.end()
        await settle()
        stage.end()
        assert mark(Request(await third, [])) == 3
        assert log == [("m", [1]), ("m", [3])]

    run(work)


@pytest.mark.parametrize("error", [InvalidInputError("no"), RuntimeError("broken")])
def test_a_run_that_fails_tells_each_and_the_next_goes_on(error):
    async def work():
        stage = Stage([])
        turns = turns_of(stage)
        calls = [ask(turns, 1)]
        await settle()
        calls += [ask(turns, 2), ask(turns, 3)]
        await settle()
        stage.running.set_exception(error)
        await settle()
        stage.end()
        found = await asyncio.gather(*calls, return_exceptions=True)
        assert isinstance(found[0], SensoriumError)
        assert [mark(Request(each, [])) for each in found[1:]] == [2, 3]

    run(work)


def test_a_model_that_cannot_even_begin_gives_its_turn_back():
    async def work():
        class Closed(Stage):
            def run(self, requests):
                raise AssertionError("closed")

        compute = Compute(1)
        turns = turns_of(Closed([]), compute)
        with pytest.raises(SensoriumError):
            await turns.infer(request(1), INTERACTIVE)
        await settle()
        assert compute.in_use == 0

    run(work)


def test_a_request_without_rows_is_joined_with_nothing_where_nothing_is_joined():
    async def work():
        log = []
        stage = Stage(log, joins=False)
        turns = turns_of(stage)
        calls = [ask(turns, 1)]
        await settle()
        empty = Request([Tensor(name="x", datatype="INT64", shape=[0])], ["y"])
        calls += [ask(turns, 2), asyncio.ensure_future(turns.infer(empty, INTERACTIVE))]
        while not all(call.done() for call in calls):
            await settle()
            if not stage.running.done():
                stage.end()
        return [len(marks) for _, marks in log]

    assert run(work) == [1, 1, 1]


def test_a_model_that_comes_up_has_no_turn_until_it_is_there():
    async def work():
        log = []
        compute = Compute(1)
        gone, other = Stage(log, "gone"), Stage(log, "other")
        gone.coming = asyncio.get_running_loop().create_future()
        turns, others = turns_of(gone, compute), turns_of(other, compute)
        waiting, leaving, beside = ask(turns, 1), ask(turns, 2), ask(others, 3)
        await settle()
        assert (log, compute.in_use) == ([("other", [3])], 1)
        leaving.cancel()
        other.end()
        await beside
        await settle()
        assert compute.in_use == 0
        coming, gone.coming = gone.coming, None
        coming.set_result(None)
        await settle()
        assert log[1:] == [("gone", [1])]
        gone.end()
        assert mark(Request(await waiting, [])) == 1
        await settle()
        assert compute.in_use == 0

    run(work)


def test_whoever_leaves_while_a_model_comes_up_leaves_nothing():
    async def work():
        log = []
        compute = Compute(1)
        stage = Stage(log)
        coming = stage.coming = asyncio.get_running_loop().create_future()
        turns = turns_of(stage, compute)
        call = ask(turns, 1)
        await settle()
        call.cancel()
        await settle()
        assert (turns.waiting, compute.in_use) == (0, 0)
        stage.coming = None
        coming.set_result(None)
        await settle()
        assert (log, compute.in_use) == ([], 0)

    run(work)


def test_a_model_that_dies_before_its_turn_gives_that_back():
    async def work():
        log = []
        compute = Compute(1)
        stage, other = Stage(log, "dying"), Stage(log, "other")
        turns, others = turns_of(stage, compute), turns_of(other, compute)
        beside = ask(others, 1)
        await settle()
        call = ask(turns, 2)
        await settle()
        coming = stage.coming = asyncio.get_running_loop().create_future()
        other.end()
        await beside
        await settle()
        assert (log, compute.in_use) == ([("other", [1])], 0)
        stage.coming = None
        coming.set_result(None)
        await settle()
        stage.end()
        assert mark(Request(await call, [])) == 2

    run(work)


@pytest.mark.parametrize("cancelled", [True, False])
def test_all_who_wait_for_a_model_that_does_not_come_up_hear_why(cancelled):
    async def work():
        log = []
        stage = Stage(log)
        coming = stage.coming = asyncio.get_running_loop().create_future()
        turns = turns_of(stage)
        calls = [ask(turns, number) for number in (1, 2)]
        await settle()
        stage.coming = None
        if cancelled:
            coming.cancel()
        else:
            coming.set_exception(InvalidInputError("damaged"))
        for call in calls:
            with pytest.raises(SensoriumError, match="inside the server" if cancelled else "dam"):
                await call
        assert not log

    run(work)
