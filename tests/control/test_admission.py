"""Slots and the queue before them."""

import asyncio
import random
from collections.abc import Awaitable, Callable

import pytest

from sensorium.control.admission import Lane
from sensorium.core.dispatch import Priority
from sensorium.core.errors import OverloadedError

NOW, LATER = Priority.INTERACTIVE, Priority.BATCH


def run(drill: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(60):
            await drill()

    asyncio.run(bounded())


async def turns() -> None:
    """Let every task go as far as it can."""
    for _ in range(5):
        await asyncio.sleep(0)


def test_slots_go_to_interactive_calls_first_and_then_in_turn() -> None:
    async def drill() -> None:
        lane = Lane("l", 1, 10)
        await lane.enter("a", 10, NOW)
        order: list[str] = []

        async def call(name: str, priority: Priority) -> None:
            await lane.enter(name, 10, priority)
            order.append(name)
            lane.leave()

        asked = [("b1", LATER), ("i1", NOW), ("b2", LATER), ("i2", NOW)]
        tasks = [asyncio.create_task(call(*each)) for each in asked]
        await turns()
        assert (lane.waiting, lane.in_use, order) == (4, 1, [])
        lane.leave()
        await asyncio.gather(*tasks)
        assert order == ["i1", "i2", "b1", "b2"]
        assert (lane.waiting, lane.in_use) == (0, 0)

    run(drill)


def test_batch_calls_get_every_ninth_slot_however_many_interactive_calls_come() -> None:
    async def drill() -> None:
        lane = Lane("l", 1, 50)
        await lane.enter("a", 50, NOW)
        order: list[str] = []

        async def call(name: str, priority: Priority) -> None:
            await lane.enter(name, 50, priority)
            order.append(name)
            lane.leave()

        asked = [(f"b{n}", LATER) for n in range(2)] + [(f"i{n}", NOW) for n in range(20)]
        tasks = [asyncio.create_task(call(*each)) for each in asked]
        await turns()
        lane.leave()
        await asyncio.gather(*tasks)
        assert (order.index("b0"), order.index("b1")) == (8, 17)

    run(drill)


def test_a_full_queue_refuses_at_once_also_for_one_operation() -> None:
    async def drill() -> None:
        lane = Lane("l", 1, 3)
        await lane.enter("a", 2, NOW)
        waiting = [asyncio.create_task(lane.enter("a", 2, NOW)) for _ in range(2)]
        await turns()
        with pytest.raises(OverloadedError) as refused:
            await lane.enter("a", 2, NOW)
        assert refused.value.retry_after_s
        waiting.append(asyncio.create_task(lane.enter("b", 2, NOW)))
        await turns()
        with pytest.raises(OverloadedError):
            await lane.enter("c", 2, NOW)
        for _ in range(4):
            lane.leave()
            await turns()
        await asyncio.gather(*waiting)
        assert (lane.waiting, lane.in_use) == (0, 0)

    run(drill)


def test_no_queue_at_all() -> None:
    async def drill() -> None:
        lane = Lane("l", 1, 0)
        await lane.enter("a", 5, NOW)
        with pytest.raises(OverloadedError):
            await lane.enter("a", 5, NOW)

    run(drill)


def test_a_slot_that_comes_with_the_cancellation_goes_to_the_next() -> None:
    async def drill() -> None:
        lane = Lane("l", 1, 5)
        await lane.enter("a", 5, NOW)
        first, second = (asyncio.create_task(lane.enter("a", 5, NOW)) for _ in range(2))
        await turns()
        lane.leave()  # the slot is given to `first` …
        first.cancel()  # … which is cancelled before it could look
        await second
        assert first.cancelled()
        assert (lane.waiting, lane.in_use) == (0, 1)

    run(drill)


@pytest.mark.parametrize("seed", range(5))
def test_whatever_is_cancelled_when_no_slot_is_lost_or_given_twice(seed: int) -> None:
    chance = random.Random(seed)
    inside = 0

    async def drill() -> None:
        lane = Lane("l", 3, 20)

        async def call() -> None:
            nonlocal inside
            await lane.enter(chance.choice("ab"), 15, chance.choice([NOW, LATER]))
            inside += 1
            try:
                assert inside <= 3
                await asyncio.sleep(0)
            finally:
                inside -= 1
                lane.leave()

        tasks = []
        for _ in range(500):
            tasks.append(asyncio.create_task(call()))
            if chance.random() < 0.4:
                chance.choice(tasks).cancel()
            if chance.random() < 0.5:
                await asyncio.sleep(0)
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        kinds = {type(each) for each in ended if each is not None}
        assert kinds <= {OverloadedError, asyncio.CancelledError}
        assert sum(each is None for each in ended) > 100
        assert (lane.waiting, lane.in_use) == (0, 0)

    run(drill)
