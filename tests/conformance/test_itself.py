"""The suite finds what is broken: each fault makes the check that is meant for it fail."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from sensorium.app import App
from sensorium.core.operation import Kind, Operation
from tests.conformance import broken, broken_doors, broken_operations, checks, doors
from tests.conformance.driver import Driver
from tests.conformance.drivers import (
    DispatcherDriver,
    EventsDriver,
    HttpDriver,
    WebSocketDriver,
)
from tests.conformance.grpc_driver import GrpcDriver
from tests.conformance.loop import BackgroundLoop
from tests.conformance.mcp_driver import McpDriver
from tests.conformance.native_driver import NativeDriver
from tests.conformance.opening import opened_here
from tests.conformance.webrtc_driver import WebRtcDriver

Check = Callable[[Driver, App], Awaitable[object]]


def op(app: App, name: str) -> Operation:
    return app.registry.get(name)


async def answers(driver: Driver, app: App) -> None:
    operation = op(app, "testing.inline")
    expected = await checks.answers(DispatcherDriver(app), operation)
    assert await checks.answers(driver, operation) == expected


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
DOORS: list[type[Driver]] = [
    *(DispatcherDriver, HttpDriver, EventsDriver, WebSocketDriver),
    *(GrpcDriver, NativeDriver, WebRtcDriver, McpDriver),
]
OWN_WIRE = (HttpDriver, WebSocketDriver, GrpcDriver, NativeDriver, WebRtcDriver, McpDriver)
WITH_IDS = (WebSocketDriver, NativeDriver, WebRtcDriver, McpDriver)
IN_DOOR = [
    (fault, check, door)
    for fault, check, faulty in [
        (broken_doors.RenamesAField, answers, OWN_WIRE),
        (broken_doors.SwapsIds, no_mixing, WITH_IDS),
        (broken_doors.Deaf, cancel, OWN_WIRE),
        (broken_doors.SwallowsTheEnd, ending, OWN_WIRE[:-1]),
        (broken_doors.SwallowsTheEnd, answers, (McpDriver,)),
        (broken_doors.MisspellsCodes, refusing, OWN_WIRE),
    ]
    for door in faulty
]
IN_OPERATION: list[tuple[str, Callable[[Driver, Operation], Awaitable[object]]]] = [
    ("loses", checks.answers),
    ("mixes", lambda driver, each: checks.mixes_nothing_up(driver, [each])),
    ("deaf", checks.stops_when_cancelled),
    ("endless", checks.ends_streams),
    ("takes_all", lambda driver, each: checks.refuses_bad_input(driver, driver, each)),
]


def carried(door: type[Driver], check: Check) -> bool:
    """Whether a door carries what a check is about."""
    return check is not ending or Kind.SERVER_STREAM in door.kinds


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What never comes need not be waited for long; what never stops need not go on for long."""
    monkeypatch.setattr(checks, "PATIENCE_S", 1.0)
    monkeypatch.setattr(checks, "STOPPED_S", 0.5)
    monkeypatch.setattr(checks, "LONG_S", 2.0)


@pytest.mark.parametrize(
    ("door", "check"),
    [(door, check) for door in DOORS for check in CHECKS if carried(door, check)],
)
def test_nothing_is_found_where_nothing_is_broken(
    loop: BackgroundLoop, tmp_path: Path, door: type[Driver], check: Check
) -> None:
    loop.run(_try(tmp_path, door, check))


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("fault", "check", "door"),
    [(*each, door) for each in IN_DISPATCHER for door in DOORS if carried(door, each[1])],
)
def test_a_broken_dispatcher_is_found_through_every_door(
    loop: BackgroundLoop,
    tmp_path: Path,
    door: type[Driver],
    fault: type[broken.Faithful],
    check: Check,
) -> None:
    with pytest.raises(AssertionError):
        loop.run(_try(tmp_path, door, check, dispatcher=fault))


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(("fault", "check", "door"), IN_DOOR)
def test_a_broken_door_is_found(
    loop: BackgroundLoop,
    tmp_path: Path,
    door: type[Driver],
    fault: type[broken_doors.Fault],
    check: Check,
) -> None:
    with pytest.raises(AssertionError):
        loop.run(_try(tmp_path, door, check, in_door=fault))


@pytest.mark.usefixtures("impatient")
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
    in_door: type[broken_doors.Fault] = broken_doors.Fault,
) -> None:
    app = doors.in_process(directory, isolated=False)
    app.registry.find_plugins()
    app.registry.add(broken_operations)
    async with app.running():
        opened = opened_here(app, door, dispatcher(app.dispatcher), in_door())
        async with opened as driver:
            await check(driver, app)
