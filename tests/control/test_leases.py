"""Leases: room, order, expiry, pre-emption; nothing leased twice and nothing lost."""

import asyncio
import random
import time

import pytest

from sensorium.control.devices import Device
from sensorium.control.leases import Leases
from sensorium.control.wishes import Wish
from sensorium.core.errors import InvalidInputError, NotFoundError, OverloadedError

GIB = 1 << 30


def leases(*sizes: int, make_room=None) -> Leases:
    devices = [Device(f"nvidia:{n}", size) for n, size in enumerate(sizes or (8 * GIB,))]

    async def find() -> list[Device]:
        return devices

    return Leases(find, make_room)


def wish(size: int, **more) -> Wish:
    return Wish(**{"holder": "a", "size": size, **more})


def run(work):
    return asyncio.run(work())


def test_what_is_leased_is_not_free_and_comes_back():
    async def work():
        book = leases()
        first = await book.lease(wish(5 * GIB))
        with pytest.raises(OverloadedError, match="not free now"):
            await book.lease(wish(4 * GIB))
        assert book.release(first.id, "a") == "released"
        assert (await book.lease(wish(8 * GIB))).device.free_bytes == 0
        assert book.release(first.id, "a") == "released"

    run(work)


def test_the_device_with_the_most_room_is_taken():
    async def work():
        book = leases(8 * GIB, 24 * GIB)
        assert (await book.lease(wish(6 * GIB))).device.name == "nvidia:1"
        assert (await book.lease(wish(6 * GIB, devices=("nvidia:0",)))).device.name == "nvidia:0"
        assert (await book.lease(wish(17 * GIB))).device.name == "nvidia:1"

    run(work)


@pytest.mark.parametrize(
    ("wrong", "why"),
    [({"size": 9 * GIB}, "the largest"), ({"size": 1, "devices": ("tpu:0",)}, "no device 'tpu:0'")],
)
def test_what_can_never_be_had_is_refused_at_once(wrong, why):
    async def work():
        with pytest.raises(InvalidInputError, match=why):
            await leases().lease(wish(**wrong), wait_s=60)

    run(work)


def test_who_waits_gets_it_by_priority_then_in_turn():
    async def work():
        book, order = leases(), []

        async def wait(name, priority):
            lease = await book.lease(wish(8 * GIB, priority=priority), wait_s=10)
            order.append(name)
            book.release(lease.id, "a")

        held = await book.lease(wish(8 * GIB))
        tasks = []
        for name, priority in (("low", 10), ("first", 50), ("second", 50), ("high", 90)):
            tasks.append(asyncio.create_task(wait(name, priority)))
            await asyncio.sleep(0)
        await asyncio.sleep(0.01)
        assert book.waiting == 4
        with pytest.raises(OverloadedError):  # others were first
            await book.lease(wish(1))
        book.release(held.id, "a")
        await asyncio.gather(*tasks)
        return order

    assert run(work) == ["high", "first", "second", "low"]


def test_waiting_has_an_end_and_leaves_nothing():
    async def work():
        book = leases()
        held = await book.lease(wish(8 * GIB))
        began = time.perf_counter()
        with pytest.raises(OverloadedError):
            await book.lease(wish(GIB), wait_s=0.1)
        assert 0.08 < time.perf_counter() - began < 15
        waiting = asyncio.create_task(book.lease(wish(GIB), wait_s=10))
        await asyncio.sleep(0.01)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert book.waiting == 0
        book.release(held.id, "a")
        assert held.device.free_bytes == 8 * GIB

    run(work)


def test_a_lease_ends_by_itself_and_who_waits_gets_it():
    async def work():
        book = leases()
        first = await book.lease(wish(8 * GIB, duration_s=0.1))
        second = await book.lease(wish(8 * GIB), wait_s=60)
        assert book.release(first.id, "a") == "expired"
        assert book.held == [second]

    run(work)


def test_a_lease_that_is_renewed_lasts_longer():
    async def work():
        book = leases()
        first = await book.lease(wish(GIB, duration_s=1.0))
        book.renew(first.id, "a", 60)
        await asyncio.sleep(1.2)
        assert book.release(first.id, "a") == "released"
        with pytest.raises(NotFoundError):
            book.renew(first.id, "a", 60)

    run(work)


def test_lower_priorities_are_taken_back_on_request_and_only_as_needed():
    async def work():
        book = leases()
        low = await book.lease(wish(4 * GIB, priority=10))
        lowest = await book.lease(wish(2 * GIB, priority=1))
        equal = await book.lease(wish(2 * GIB, priority=50))
        with pytest.raises(OverloadedError):
            await book.lease(wish(2 * GIB))
        taken = await book.lease(wish(2 * GIB, preempt=True))
        assert taken.preempted == [lowest.id]
        assert book.release(lowest.id, "a") == "preempted"
        with pytest.raises(OverloadedError):  # even all that is lower would not do
            await book.lease(wish(7 * GIB, priority=50, preempt=True))
        assert {each.id for each in book.held} == {low.id, equal.id, taken.id}

    run(work)


def test_idle_models_make_room_first():
    held = [6 * GIB]

    async def make_room(device, size, least):
        assert (device, size, least) == ("nvidia:0", 3 * GIB, 2 * GIB)
        held[0] = 0

    async def work():
        book = leases(make_room=make_room)
        (device,) = await book.devices()
        device.others = lambda: held[0]
        assert device.free_bytes == 2 * GIB
        low = await book.lease(wish(GIB, priority=1))
        taken = await book.lease(wish(4 * GIB, preempt=True))
        assert taken.preempted == []
        assert low in book.held

    run(work)


def test_who_waits_for_one_device_keeps_nobody_from_another():
    async def work():
        book = leases(8 * GIB, 4 * GIB)
        held = await book.lease(wish(8 * GIB, devices=("nvidia:0",)))
        first = asyncio.create_task(book.lease(wish(GIB, devices=("nvidia:0",)), wait_s=10))
        await asyncio.sleep(0.01)
        assert (await book.lease(wish(GIB, devices=("nvidia:1",)))).device.name == "nvidia:1"
        assert (await book.lease(wish(GIB, priority=1))).device.name == "nvidia:1"
        other = await book.lease(wish(GIB, devices=("nvidia:1",)))
        second = asyncio.create_task(book.lease(wish(2 * GIB, devices=("nvidia:1",)), wait_s=10))
        await asyncio.sleep(0.01)
        assert book.waiting == 2
        with pytest.raises(OverloadedError, match="others wait before you"):
            await book.lease(wish(GIB, devices=("nvidia:1",)))
        book.release(other.id, "a")  # the one who waits longer, elsewhere, is no reason to wait
        assert (await second).device.name == "nvidia:1"
        book.release(held.id, "a")
        assert (await first).device.name == "nvidia:0"

    run(work)


def test_what_would_not_suffice_is_not_taken_from_idle_models():
    asked = []

    async def make_room(device, size, least):
        asked.append((size, least))

    async def work():
        book = leases(make_room=make_room)
        await book.lease(wish(7 * GIB, priority=90))
        await book.lease(wish(GIB, priority=1))
        with pytest.raises(OverloadedError):
            await book.lease(wish(5 * GIB, preempt=True))
        assert asked == [(5 * GIB, 4 * GIB)]  # the lower one has but one of them

    run(work)


def test_a_lease_is_its_holders_alone():
    async def work():
        book = leases()
        lease = await book.lease(wish(GIB))
        with pytest.raises(NotFoundError):
            book.release(lease.id, "b")
        with pytest.raises(NotFoundError):
            book.renew(lease.id, "b", 60)
        assert book.release(lease.id, "a") == "released"
        with pytest.raises(NotFoundError):
            book.release(lease.id, "b")

    run(work)


def test_whatever_happens_no_byte_is_leased_twice_or_lost():
    """Hundreds of holders come, wait, leave, pre-empt and vanish at random."""

    async def work():
        book, dice = leases(8 * GIB, 4 * GIB), random.Random(1)

        async def holder(number):
            mine = wish(
                dice.randint(1, 3 * GIB),
                holder=str(number),
                priority=dice.randint(0, 100),
                preempt=dice.random() < 0.3,
                duration_s=dice.uniform(0.005, 0.1),
            )
            try:
                lease = await book.lease(mine, wait_s=dice.uniform(0, 0.05))
            except OverloadedError:
                return
            for device in await book.devices():
                total = sum(e.wish.size for e in book.held if e.device is device)
                assert device.leased_bytes == total <= device.total_bytes
            await asyncio.sleep(dice.uniform(0, 0.05))
            if dice.random() < 0.7:
                assert book.release(lease.id, str(number)) in ("released", "expired", "preempted")

        tasks = [asyncio.create_task(holder(number)) for number in range(600)]
        for task in dice.sample(tasks, 60):
            asyncio.get_running_loop().call_later(dice.uniform(0, 0.05), task.cancel)
        for done in await asyncio.gather(*tasks, return_exceptions=True):
            assert not isinstance(done, Exception), done
        await asyncio.sleep(0.12)
        assert [each.leased_bytes for each in await book.devices()] == [0, 0]
        assert book.waiting == 0

    run(work)


def test_first_calls_at_once_know_the_same_devices():
    async def work():
        book = leases()
        found = await asyncio.gather(
            *(book.lease(wish(5 * GIB)) for _ in range(2)), return_exceptions=True
        )
        assert sorted(type(each).__name__ for each in found) == ["Lease", "OverloadedError"]

    run(work)


def test_who_stops_waiting_stands_in_nobodys_way():
    async def work():
        book = leases()
        await book.lease(wish(4 * GIB))
        large = asyncio.create_task(book.lease(wish(7 * GIB), wait_s=0.1))
        await asyncio.sleep(0.01)
        small = asyncio.create_task(book.lease(wish(2 * GIB), wait_s=60))
        with pytest.raises(OverloadedError):
            await large
        assert (await asyncio.wait_for(small, 20)).wish.size == 2 * GIB

    run(work)


def test_what_others_give_back_is_seen_by_who_waits():
    async def work():
        book, held = leases(), [8 * GIB]
        (device,) = await book.devices()
        device.others = lambda: held[0]
        waiting = asyncio.create_task(book.lease(wish(GIB), wait_s=60))
        await asyncio.sleep(0.01)
        held[0] = 0
        assert (await asyncio.wait_for(waiting, 20)).device is device

    run(work)


def test_preempting_goes_before_nobody_of_higher_priority():
    async def work():
        book = leases()
        await book.lease(wish(4 * GIB, priority=95))
        high = asyncio.create_task(book.lease(wish(8 * GIB, priority=90), wait_s=60))
        await asyncio.sleep(0.01)
        with pytest.raises(OverloadedError):
            await book.lease(wish(2 * GIB, priority=1, preempt=True))
        high.cancel()
        await asyncio.gather(high, return_exceptions=True)

    run(work)


def test_renewing_for_ever_leaves_nothing_behind():
    async def work():
        book = leases()
        lease = await book.lease(wish(GIB))
        for _ in range(20_000):
            book.renew(lease.id, "a", 60)
        assert len(book._expiry) < 2_000

    run(work)
