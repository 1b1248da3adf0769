"""The pool with real processes: calls, deaths, cancels, streams."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from subprocess import Popen
from typing import Any

import pytest

from sensorium.workers.limits import limited
from sensorium.workers.pool import Pool
from sensorium.workers.process import (
    CANCEL_GRACE_S,
    RunningCall,
    Worker,
    WorkerDiedError,
    WorkFailedError,
)
from sensorium.workers.starting import start_process

HANDLER = "tests.workers.handlers:serve"
LONG_S = 30.0
"""So long a worker may take to hear of a cancel where it is not to be killed."""


@asynccontextmanager
async def pool_of(
    size: int, slots: int = 1, cancel_grace_s: float = CANCEL_GRACE_S
) -> AsyncIterator[Pool]:
    pool = Pool(HANDLER, size, slots, cancel_grace_s=cancel_grace_s)
    pool.start()
    try:
        yield pool
    finally:
        await pool.stop()


def run(drill: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(100):
            await drill()

    asyncio.run(bounded())


async def ask(pool: Pool, header: bytes, body: bytes = b"") -> bytes:
    """A whole unary call."""
    call = await pool.call(header)
    await call.write(body)
    await call.start()
    answer = await call.answer()
    assert await call.answer() is None
    return answer or b""


async def until(condition: Callable[[], bool], within_s: float = 40) -> None:
    end = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end
        await asyncio.sleep(0.005)


async def begun(pool: Pool, header: bytes) -> RunningCall:
    call = await pool.call(header)
    await call.start()
    return call


@pytest.mark.parametrize("size", [0, 1, 1 << 18, (1 << 18) + 1, 5_000_000])
def test_bodies_of_any_size_come_back(size: int) -> None:
    async def drill() -> None:
        async with pool_of(1) as pool:
            body = os.urandom(size)
            assert await ask(pool, b"echo", body) == body

    run(drill)


def test_calls_spread_over_the_workers_and_wait_in_turn() -> None:
    async def drill() -> None:
        async with pool_of(2, cancel_grace_s=LONG_S) as pool:
            await until(lambda: pool.stats().alive == 2)
            first, second = [await begun(pool, b"spin 60") for _ in range(2)]
            assert pool.stats().busy == 2
            waiting = [asyncio.create_task(ask(pool, b"echo", b"%d" % n)) for n in range(3)]
            await asyncio.sleep(0)
            assert not any(task.done() for task in waiting)
            waiting[0].cancel()
            first.cancel()
            assert await waiting[1] == b"1"
            assert await waiting[2] == b"2"
            second.cancel()
            await second.done
            assert pool.restarts == 0

    run(drill)


@pytest.mark.parametrize(("header", "argument"), [(b"fail", b"as told"), (b"bug", b"")])
def test_an_error_ends_the_call_and_not_the_worker(header: bytes, argument: bytes) -> None:
    async def drill() -> None:
        async with pool_of(1) as pool:
            with pytest.raises(WorkFailedError) as failed:
                await ask(pool, header)
            assert failed.value.args == (argument,)
            assert await ask(pool, b"echo", b"next") == b"next"
            assert pool.restarts == 0

    run(drill)


def test_a_worker_that_dies_is_replaced() -> None:
    async def drill() -> None:
        async with pool_of(1) as pool:
            before = await ask(pool, b"pid")
            with pytest.raises(WorkerDiedError):
                await ask(pool, b"crash")
            assert await ask(pool, b"pid") != before
            assert (pool.restarts, pool.stats().alive) == (1, 1)

    run(drill)


def test_a_worker_that_dies_early_is_back_at_once_and_later_soon() -> None:
    async def drill() -> None:
        async with pool_of(1) as pool:
            await ask(pool, b"echo")
            waits = []
            for kills in range(1, 8):
                killed = pool.workers[0]
                killed.kill()
                began = time.monotonic()
                await until(lambda kills=kills: pool.restarts == kills and bool(pool.workers))
                waits.append(time.monotonic() - began)
                assert pool.workers[0].pid != killed.pid
            assert max(waits[:2]) < 15.0, "with what the start of an interpreter takes"
            assert max(waits) < 20.0

    run(drill)


def test_all_that_wait_for_a_worker_find_its_slots() -> None:
    async def drill() -> None:
        async with pool_of(1, slots=8) as pool:
            calls = await asyncio.gather(*(begun(pool, b"spin 60") for _ in range(8)))
            assert len({call._number for call in calls}) == 8
            for call in calls:
                call.cancel()
            await asyncio.wait([call.done for call in calls])

    run(drill)


def test_a_cancel_is_heard_while_the_call_computes() -> None:
    async def drill() -> None:
        async with pool_of(1, cancel_grace_s=LONG_S) as pool:
            pid = await ask(pool, b"pid")
            call = await begun(pool, b"spin 60")
            began = time.monotonic()
            call.cancel()
            await call.done
            assert time.monotonic() - began < 20.0
            assert await ask(pool, b"pid") == pid

    run(drill)


def test_a_worker_that_stands_still_is_killed_on_cancel() -> None:
    async def drill() -> None:
        async with pool_of(1) as pool:
            pid = int(await ask(pool, b"pid"))
            call = await begun(pool, b"spin 60")
            os.kill(pid, signal.SIGSTOP)
            began = time.monotonic()
            call.cancel()
            await call.done
            assert time.monotonic() - began < 20
            assert int(await ask(pool, b"pid")) != pid

    run(drill)


def test_a_call_cancelled_before_its_body_is_complete_frees_its_place() -> None:
    async def drill() -> None:
        async with pool_of(1, cancel_grace_s=LONG_S) as pool:
            call = await pool.call(b"echo")
            await call.write(b"half")
            call.cancel()
            await call.done
            assert await ask(pool, b"echo", b"whole") == b"whole"
            assert pool.restarts == 0

    run(drill)


def test_answers_that_are_not_taken_hold_up_the_worker_and_nothing_else() -> None:
    async def drill() -> None:
        async with pool_of(1, slots=2) as pool:
            flood = await begun(pool, b"count 100000")
            await until(lambda: flood._answers.qsize() >= 64)
            assert await ask(pool, b"echo", b"beside") == b"beside"
            assert flood._answers.qsize() == 64
            for number in range(1000):
                assert await flood.answer() == b"%d" % number
            flood.cancel()
            await flood.done

    run(drill)


def test_items_are_mirrored_in_order() -> None:
    async def drill() -> None:
        async with pool_of(1) as pool:
            call = await begun(pool, b"mirror")

            async def feed() -> None:
                for number in range(500):
                    await call.item(b"%d" % number)
                await call.end()

            feeding = asyncio.create_task(feed())
            heard = []
            while (answer := await call.answer()) is not None:
                heard.append(answer)
            await feeding
            assert heard == [b"%d" % number for number in range(500)]

    run(drill)


def test_a_spawn_that_fails_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    real, left = Worker.spawn, [OSError("no more processes")] * 2

    async def spawn(*arguments: object, shared: bool) -> Worker:
        if left:
            raise left.pop()
        return await real(*arguments, shared=shared)  # type: ignore[arg-type]

    async def drill() -> None:
        monkeypatch.setattr(Worker, "spawn", spawn)
        async with pool_of(1) as pool:
            assert await ask(pool, b"echo", b"at last") == b"at last"
            assert pool.restarts == 2

    run(drill)


def test_stopping_ends_calls_and_leaves_no_process() -> None:
    async def drill() -> None:
        async with pool_of(2) as pool:
            pids = {int(await ask(pool, b"pid")) for _ in range(5)}
            call = await begun(pool, b"spin 60")
        with pytest.raises(WorkerDiedError):
            await call.answer()
        for pid in pids:
            with pytest.raises(ProcessLookupError):
                os.kill(pid, 0)

    run(drill)


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="no memfd here")
def test_large_bytes_go_there_and_back_in_shared_memory_and_none_stays_behind() -> None:
    async def drill() -> None:
        pool = Pool("tests.workers.handlers:mirror_shared", 1, shared=True)
        pool.start()
        try:
            for turn in range(200):
                data = bytes([turn % 256]) * 3_000_000
                worker = await _first_worker(pool)
                region = worker.outgoing.put(data)  # type: ignore[union-attr]
                assert region == (0, len(data))
                call = await pool.call(f"{region[0]} {region[1]}".encode())
                await call.start()
                answer = (await call.answer() or b"").decode().split()
                back = (int(answer[0]), int(answer[1]))
                assert call.shared(back) == data
                assert back == (0, len(data))
                await call.done
                call.forget()
                worker.outgoing.free([region])  # type: ignore[union-attr]
        finally:
            await pool.stop()

    run(drill)


async def _first_worker(pool: Pool) -> Worker:
    await until(lambda: bool(pool.workers))
    return pool.workers[0]


def test_a_worker_takes_no_more_memory_than_it_may() -> None:
    async def drill() -> None:
        pool = Pool("tests.workers.handlers:take_memory", 1, environment=limited(300 << 20))
        pool.start()
        try:
            assert await ask(pool, b"%d" % (50 << 20)) == b"taken %d" % (50 << 20)
            with pytest.raises(WorkFailedError, match="no memory"):
                await ask(pool, b"%d" % (400 << 20))
            assert await ask(pool, b"%d" % (50 << 20)) == b"taken %d" % (50 << 20)
        finally:
            await pool.stop()

    run(drill)


def test_a_worker_that_is_given_up_while_it_is_spawned_is_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started: list[Popen[bytes]] = []

    def start(*arguments: Any) -> tuple[Popen[bytes], Any]:
        process, ours = start_process(*arguments)
        started.append(process)
        return process, ours

    monkeypatch.setattr("sensorium.workers.process.start_process", start)

    async def drill() -> None:
        for rounds in range(4):
            spawning = asyncio.create_task(Worker.spawn(HANDLER, 1, {}, shared=True))
            await asyncio.sleep(0)  # as far as the connection, which takes another round
            assert len(started) == rounds + 1
            spawning.cancel()
            await asyncio.wait([spawning])
            assert spawning.cancelled()
        assert [each.returncode for each in started] == [-signal.SIGKILL] * len(started)

    run(drill)
