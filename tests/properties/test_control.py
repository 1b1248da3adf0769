"""Admission, rates and keys, whatever the order of events."""

import asyncio
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from sensorium.control.access import Access
from sensorium.control.admission import Lane
from sensorium.control.keys import KeyStore
from sensorium.core.dispatch import Principal, Priority
from sensorium.core.errors import (
    ForbiddenError,
    OverloadedError,
    RateLimitedError,
    UnauthenticatedError,
)

CAPACITY, QUEUE = 2, 3


class LaneMachine(RuleBasedStateMachine):
    """Calls come, are cancelled and leave in any order; no slot is lost and none is made."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.lane = Lane("test", CAPACITY, QUEUE)
        self.waiting: list[tuple[Priority, asyncio.Task[None]]] = []
        self.holding = 0

    def teardown(self) -> None:
        for _, task in self.waiting:
            task.cancel()
        self.runner.close()

    @rule(priority=st.sampled_from(Priority))
    def come(self, priority: Priority) -> None:
        async def begin() -> asyncio.Task[None]:
            task = asyncio.create_task(self.lane.enter("op", QUEUE, priority))
            await asyncio.sleep(0)
            return task

        full = self.holding == CAPACITY and len(self.waiting) == QUEUE
        task = self.runner.run(begin())
        if full:
            with pytest.raises(OverloadedError):
                task.result()
        elif task.done():
            self.holding += 1
        else:
            assert self.holding == CAPACITY, "nobody waits while there is a slot"
            self.waiting.append((priority, task))

    @precondition(lambda self: self.holding)
    @rule()
    def leave(self) -> None:
        self.lane.leave()
        self.holding -= 1
        self.runner.run(_turn())
        served = [each for each in self.waiting if each[1].done()]
        assert len(served) == min(1, len(self.waiting))
        if served:
            interactive = [each for each in self.waiting if each[0] is Priority.INTERACTIVE]
            assert served[0] == (interactive or self.waiting)[0], "in turn, interactive first"
            self.waiting.remove(served[0])
            self.holding += 1

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        each = data.draw(st.sampled_from(self.waiting))
        each[1].cancel()
        self.runner.run(_turn())
        assert each[1].cancelled()
        self.waiting.remove(each)

    @precondition(lambda self: self.waiting and self.holding)
    @rule()
    def leave_while_the_next_is_cancelled(self) -> None:
        self.lane.leave()
        self.holding -= 1
        interactive = [each for each in self.waiting if each[0] is Priority.INTERACTIVE]
        upcoming = (interactive or self.waiting)[0]
        upcoming[1].cancel()
        self.waiting.remove(upcoming)
        self.runner.run(_turn())
        for each in [each for each in self.waiting if each[1].done()]:
            self.waiting.remove(each)
            self.holding += 1

    @invariant()
    def adds_up(self) -> None:
        assert self.lane.in_use == self.holding <= CAPACITY
        assert self.lane.waiting == len(self.waiting) <= QUEUE
        assert not self.waiting or self.holding == CAPACITY


async def _turn() -> None:
    for _ in range(4):
        await asyncio.sleep(0)


TestLane = LaneMachine.TestCase


@given(st.text(), st.text())
def test_no_text_but_the_key_is_the_key(text: str, other: str) -> None:
    access = Access(None, [text] if text else [], key_needed=True)
    if text and text.isprintable():
        assert access.identify(text).id == "given-0"
    if other != text:
        with pytest.raises(UnauthenticatedError):
            access.identify(other)


@settings(max_examples=30)
@given(st.text(), st.integers(0, 60))
def test_no_stored_key_is_guessed_from_its_parts(text: str, at: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = KeyStore(Path(folder))
        key, secret = store.create("k")
        assert store.find(secret) == key
        for wrong in (text, secret[:at], secret[:at] + text + secret[at:], f"sns_{key.id}_{text}"):
            assert (store.find(wrong) is None) is (wrong != secret)


@given(st.lists(st.sampled_from(["logs.cluster", "logs.*", "system.*", "x.y"]), max_size=3))
def test_a_key_allows_what_its_patterns_name_and_no_more(patterns: list[str]) -> None:
    access = Access(None, ["k"], key_needed=True)
    principal = Principal("p", tuple(patterns))
    for name, allowed in (
        ("logs.cluster", {"logs.cluster", "logs.*"} & set(patterns)),
        ("logs.clusters", {"logs.*"} & set(patterns)),
        ("metrics.watch", set()),
        ("system.metrics", {"system.*"} & set(patterns)),
    ):
        if allowed:
            access.authorise(principal, name, public=False)
        else:
            with pytest.raises(ForbiddenError):
                access.authorise(principal, name, public=False)


@given(st.floats(0.01, 1000))
def test_a_rate_lets_a_seconds_worth_pass_at_once_and_no_more(rate: float) -> None:
    access = Access(None, [], key_needed=False)
    principal = Principal("p", rate_per_s=rate)
    passed = 0
    refused: RateLimitedError | None = None
    while refused is None and passed < 5_000:
        try:
            access.authorise(principal, "a.b", public=False)
            passed += 1
        except RateLimitedError as error:
            refused = error
    assert passed >= max(1, int(rate) - 1)
    assert passed <= max(1.0, rate) + 1 + rate
    assert refused is not None
    assert refused.retry_after_s is not None
    assert 0 < refused.retry_after_s <= 1 / rate + 0.001
