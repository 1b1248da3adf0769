"""The suite finds what is broken: each fault makes the check that is meant for it fail."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from sensorium.app import App
from sensorium.core.operation import Operation
from tests.conformance import broken, broken_operations, checks, doors
from tests.conformance.driver import Driver
from tests.conformance.drivers import (
    DispatcherDriver,
    EventsDriver,
    HttpDriver,
    WebSocketDriver,
)
from tests.conformance.loop import BackgroundLoop

Check = Callable[[Driver, App], Awaitable[object]]


def op(app: App, name: str) -> Operation:
    return app.registry.get(name)


async def answers(driver: Driver, app: App) -> None:
    await checks.answers(driver, op(app, "testing.inline"))


async def no_mixing(driver: Driver, app: App) -> None:
    names = ("testing.inline", "testing.awaiting", "testing.thread")
    await checks.mixes_nothing_up(driver, [op(app, name) for name in names])


async def cancel(driver: Driver, app: App) -> None:
    await checks.stops_when_cancelled(driver, op(app, "testing.thread"))


async def ending(driver: Driver, app: App) -> None:
    await checks.ends_streams(driver, op(app, "testing.count_async"))


async def refusing(driver: Driver, app: App) -> None:
    await checks.refuses_bad_input(driver, driver, op(app, "testing.inline"))


CHECKS: list[Check] = [answers, no_mixing, cancel, ending, refusing]
IN_DISPATCHER = [
    (broken.DropsAField, answers),
    (broken.SwapsAnswers, no_mixing),
    (broken.IgnoresCancel, cancel),
    (broken.NeverEnds, ending),
    (broken.SaysAnotherCode, refusing),
]
DOORS: list[type[Driver]] = [DispatcherDriver, HttpDriver, EventsDriver, WebSocketDriver]
IN_DOOR = [
    (broken.RenamesAField, answers, HttpDriver),
    (broken.RenamesAField, answers, WebSocketDriver),
    (broken.SwapsIds, no_mixing, WebSocketDriver),
    (broken.DeafDoor, cancel, HttpDriver),
    (broken.DeafDoor, cancel, WebSocketDriver),
    (broken.SwallowsTheEnd, ending, HttpDriver),
    (broken.SwallowsTheEnd, ending, WebSocketDriver),
    (broken.MisspellsCodes, refusing, HttpDriver),
    (broken.MisspellsCodes, refusing, WebSocketDriver),
]
IN_OPERATION: list[tuple[str, Callable[[Driver, Operation], Awaitable[object]]]] = [
    ("loses", checks.answers),
    ("mixes", lambda driver, each: checks.mixes_nothing_up(driver, [each])),
    ("deaf", checks.stops_when_cancelled),
    ("endless", checks.ends_streams),
    ("takes_all", lambda driver, each: checks.refuses_bad_input(driver, driver, each)),
]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What never comes need not be waited for long; what never stops need not go on for long."""
    monkeypatch.setattr(checks, "PATIENCE_S", 2.0)
    monkeypatch.setattr(checks, "STOPPED_S", 0.5)
    monkeypatch.setattr(checks, "LONG_S", 2.0)


@pytest.mark.parametrize("check", CHECKS, ids=lambda each: each.__name__)
@pytest.mark.parametrize("door", DOORS, ids=lambda each: each.name)
def test_nothing_is_found_where_nothing_is_broken(
    loop: BackgroundLoop, tmp_path: Path, door: type[Driver], check: Check
) -> None:
    loop.run(_try(tmp_path, door, check))


@pytest.mark.parametrize(("fault", "check"), IN_DISPATCHER)
@pytest.mark.parametrize("door", DOORS, ids=lambda each: each.name)
def test_a_broken_dispatcher_is_found_through_every_door(
    loop: BackgroundLoop,
    tmp_path: Path,
    door: type[Driver],
    fault: type[broken.Faithful],
    check: Check,
) -> None:
    with pytest.raises(AssertionError):
        loop.run(_try(tmp_path, door, check, dispatcher=fault))


@pytest.mark.parametrize(("fault", "check", "door"), IN_DOOR)
def test_a_broken_door_is_found(
    loop: BackgroundLoop,
    tmp_path: Path,
    door: type[Driver],
    fault: type[broken.BrokenDoor],
    check: Check,
) -> None:
    with pytest.raises(AssertionError):
        loop.run(_try(tmp_path, door, check, breaks=fault))


@pytest.mark.parametrize(("verb", "check"), IN_OPERATION)
def test_a_broken_operation_is_found(
    loop: BackgroundLoop,
    tmp_path: Path,
    verb: str,
    check: Callable[[Driver, Operation], Awaitable[object]],
) -> None:
    async def checked(driver: Driver, app: App) -> None:
        await check(driver, op(app, f"broken.{verb}"))

    with pytest.raises(AssertionError):
        loop.run(_try(tmp_path, DispatcherDriver, checked))


async def _try(
    directory: Path,
    door: type[Driver],
    check: Check,
    dispatcher: type[broken.Faithful] = broken.Faithful,
    breaks: type[broken.BrokenDoor] = broken.BrokenDoor,
) -> None:
    app = doors.in_process(directory, isolated=False)
    app.registry.find_plugins()
    app.registry.add(broken_operations)
    async with app.running(), _opened(app, door, dispatcher(app.dispatcher), breaks) as driver:
        await check(driver, app)


@asynccontextmanager
async def _opened(
    app: App, door: type[Driver], dispatcher: broken.Faithful, breaks: type[broken.BrokenDoor]
) -> AsyncIterator[Driver]:
    if issubclass(door, DispatcherDriver):
        yield door(app, dispatcher)
        return
    assert issubclass(door, HttpDriver | WebSocketDriver)
    async with broken.serving_here(dispatcher, app.telemetry, breaks) as url:
        driver = door(url, os.getpid())
        try:
            yield driver
        finally:
            await driver.close()
