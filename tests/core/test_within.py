"""The time limit of a call, beside what else may end it."""

import asyncio

import pytest

from sensorium.core.within import Within


def test_what_is_done_in_time_is_left_alone() -> None:
    async def run() -> int:
        with Within(0.01):
            found = 1
        await asyncio.sleep(0.03)  # its time passes, and nobody minds
        return found

    assert asyncio.run(run()) == 1


def test_what_is_not_done_in_time_is_cancelled() -> None:
    async def run() -> None:
        with pytest.raises(TimeoutError), Within(0.01):
            await asyncio.sleep(60)
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0
        await asyncio.sleep(0)  # and the task goes on

    asyncio.run(run())


def test_the_inner_limit_is_not_the_outer_ones() -> None:
    async def run() -> str:
        try:
            with Within(60):
                try:
                    with Within(0.01):
                        await asyncio.sleep(60)
                except TimeoutError:
                    return "inner"
        except TimeoutError:
            return "outer"
        return ""

    assert asyncio.run(run()) == "inner"


def test_the_outer_limit_passes_through_the_inner_one() -> None:
    async def run() -> str:
        try:
            with Within(0.01):
                try:
                    with Within(60):
                        await asyncio.sleep(60)
                except TimeoutError:
                    return "inner"
        except TimeoutError:
            return "outer"
        return ""

    assert asyncio.run(run()) == "outer"


def test_who_cancels_it_is_heard_though_its_time_has_passed() -> None:
    async def work() -> None:
        with Within(0.01):
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                asyncio.current_task().cancel()  # type: ignore[union-attr]
                raise

    async def run() -> None:
        task = asyncio.create_task(work())
        await asyncio.wait([task])
        assert task.cancelled()

    asyncio.run(run())


def test_other_errors_pass() -> None:
    async def run() -> None:
        with Within(60):
            raise KeyError("k")

    with pytest.raises(KeyError):
        asyncio.run(run())
