"""Plain code over an event loop: an interrupt, wherever it strikes, leaves nothing running."""

import asyncio
import time
from collections.abc import AsyncGenerator
from concurrent.futures import Future
from typing import Any

import pytest

from sensorium.client.portal import Portal

STOP_S = 60.0
"""How long it would wait for what does not stop."""


async def endless(log: list[str]) -> AsyncGenerator[Any, None]:
    try:
        log.append("began")
        await asyncio.sleep(60)
        yield None
    finally:
        log.append("closed")


def test_an_interrupt_while_it_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    portal = Portal()
    portal.run(asyncio.sleep(0))
    strikes = [KeyboardInterrupt]

    class Struck(Future):  # type: ignore[type-arg]
        def result(self, timeout: float | None = None) -> Any:
            if strikes:
                raise strikes.pop()
            return super().result(timeout)

    monkeypatch.setattr("sensorium.client.portal.Future", Struck)
    monkeypatch.setattr("sensorium.client.portal.STOP_S", STOP_S)
    log: list[str] = []
    struck = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        next(portal.iterate(endless(log)))
    assert time.monotonic() - struck < STOP_S / 2
    assert log in (["began", "closed"], [])
    assert portal.run(asyncio.sleep(0, "alive")) == "alive"
    portal.stop()


def test_an_interrupt_before_the_work_is_handed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    portal = Portal()
    loop = portal._loop()
    hand_over = loop.call_soon_threadsafe
    strikes = [KeyboardInterrupt]

    def struck(*arguments: Any) -> Any:
        if strikes:
            raise strikes.pop()
        return hand_over(*arguments)

    monkeypatch.setattr(loop, "call_soon_threadsafe", struck)
    log: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        next(portal.iterate(endless(log)))
    assert log == []
    assert portal.run(asyncio.sleep(0, "alive")) == "alive"
    portal.stop()
