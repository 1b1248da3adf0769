"""What the server says of its capabilities: by what really happened, and lately."""

import pytest

from sensorium.control import readiness
from sensorium.control.readiness import FORGET_S, Readiness, State
from sensorium.core.telemetry import Telemetry

NOW = 1_000_000.0


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Readiness:
    monkeypatch.setattr(readiness.time, "time", lambda: NOW)
    return Readiness(Telemetry(), None)


@pytest.mark.parametrize(
    ("worked", "failed", "state"),
    [
        (None, None, State.UNTESTED),
        (NOW - 5, None, State.READY),
        (NOW - 5, NOW - 9, State.READY),
        (NOW - 9, NOW - 5, State.FAILING),
        (None, NOW - 5, State.FAILING),
        (NOW - 2 * FORGET_S, NOW - FORGET_S - 1, State.READY),
        (None, NOW - FORGET_S - 1, State.UNTESTED),
    ],
)
def test_a_capability_is_as_its_last_work_of_late(
    watched: Readiness, worked: float | None, failed: float | None, state: State
) -> None:
    stats = watched.telemetry.of("models.pull")
    stats.last_success, stats.last_failure = worked, failed
    assert watched.operation("models.pull") is state
    wanted = {} if state is State.UNTESTED else {"models": state}
    assert watched.capabilities() == wanted


def test_one_operation_that_fails_is_its_capabilitys_state(watched: Readiness) -> None:
    watched.telemetry.of("models.list").last_success = NOW
    watched.telemetry.of("models.pull").last_failure = NOW - 1
    assert watched.capabilities() == {"models": State.FAILING}
