"""One change per key."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from sensorium.control import idempotency
from sensorium.control.idempotency import Idempotency
from sensorium.core.dispatch import Answer
from sensorium.core.errors import ConflictError, UnavailableError

KEY = ("who", "noun.verb", "k")


class Changes:
    """Counts how often it was made, and can be held up or fail."""

    def __init__(self) -> None:
        self.made = 0
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.error: Exception | None = None

    async def make(self) -> Answer:
        await self.go_on.wait()
        if self.error is not None:
            raise self.error
        self.made += 1
        return Answer(encoded=b"%d" % self.made)


def run(drill: Callable[[Idempotency, Changes], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(60):
            await drill(Idempotency(), Changes())

    asyncio.run(bounded())


def test_the_second_call_gets_the_first_ones_answer() -> None:
    async def drill(kept: Idempotency, changes: Changes) -> None:
        first = await kept.once(KEY, b"c", changes.make)
        second = await kept.once(KEY, b"c", changes.make)
        assert (first.encoded, second.encoded, changes.made) == (b"1", b"1", 1)
        assert (first.replayed, second.replayed) == (False, True)
        other = await kept.once(("else", *KEY[1:]), b"c", changes.make)
        assert other.encoded == b"2"

    run(drill)


def test_calls_at_the_same_time_are_one() -> None:
    async def drill(kept: Idempotency, changes: Changes) -> None:
        changes.go_on.clear()
        calls = [asyncio.create_task(kept.once(KEY, b"c", changes.make)) for _ in range(5)]
        await asyncio.sleep(0)
        changes.go_on.set()
        answers = await asyncio.gather(*calls)
        assert [answer.encoded for answer in answers] == [b"1"] * 5
        assert changes.made == 1

    run(drill)


def test_another_request_under_the_same_key_is_a_conflict() -> None:
    async def drill(kept: Idempotency, changes: Changes) -> None:
        await kept.once(KEY, b"c", changes.make)
        with pytest.raises(ConflictError):
            await kept.once(KEY, b"d", changes.make)
        assert changes.made == 1

    run(drill)


def test_a_failure_is_forgotten() -> None:
    async def drill(kept: Idempotency, changes: Changes) -> None:
        changes.error = UnavailableError()
        with pytest.raises(UnavailableError):
            await kept.once(KEY, b"c", changes.make)
        changes.error = None
        assert (await kept.once(KEY, b"c", changes.make)).encoded == b"1"

    run(drill)


def test_a_change_goes_on_when_its_caller_leaves_and_a_repeat_gets_its_answer() -> None:
    async def drill(kept: Idempotency, changes: Changes) -> None:
        changes.go_on.clear()
        first = asyncio.create_task(kept.once(KEY, b"c", changes.make))
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.sleep(0)
        second = asyncio.create_task(kept.once(KEY, b"c", changes.make))
        await asyncio.sleep(0)
        changes.go_on.set()
        answer = await second
        assert (answer.encoded, answer.replayed) == (b"1", True)

    run(drill)


def test_only_the_newest_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idempotency, "KEPT_MAX", 3)

    async def drill(kept: Idempotency, changes: Changes) -> None:
        for number in range(4):
            await kept.once((*KEY[:2], str(number)), b"c", changes.make)
        assert (await kept.once((*KEY[:2], "3"), b"c", changes.make)).replayed
        assert not (await kept.once((*KEY[:2], "0"), b"c", changes.make)).replayed

    run(drill)
