"""Every operation through every door: good input, bad input, no key, deadlines, cancellation."""

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sensorium.core.operation import Execution, Kind, Operation
from tests.conformance import checks, doors
from tests.conformance.driver import Driver
from tests.conformance.loop import BackgroundLoop
from tests.conformance.samples import strategy

ALL = doors.operations()
WORKING = [each for each in ALL if each.name not in doors.FAILING]
LISTENING = [each for each in WORKING if each.kind is Kind.DUPLEX]
WAITING = [each for each in WORKING if checks.takes(each, "seconds") and not each.changes]
"""Operations that take as long as they are told to."""
SLOW = [each for each in WAITING if each.execution is not Execution.INLINE]
COUNTING = [each for each in WORKING if checks.takes(each, "count", "fail_after")]
STREAMING = [each for each in COUNTING if each.kind is Kind.SERVER_STREAM]
ECHOING = [each for each in WORKING if each.kind is Kind.UNARY and each.request is each.response]
CHEAP = [
    each
    for each in WORKING
    if not checks.takes(each, "seconds") and each.name not in (*doors.SHARED, *doors.WHOLE)
]
UNKNOWN = ("testing.nothing", "nothing.at_all", "logs", "a.b.c", "logs.cluster.")


def each_of(operations: list[Operation]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("operation", operations, ids=lambda each: each.name)


@each_of(WORKING)
def test_the_example_is_answered_the_same_through_every_door(
    loop: BackgroundLoop, driver: Driver, reference: Driver, operation: Operation
) -> None:
    expected = loop.run(checks.answers(reference, operation))
    assert loop.run(checks.answers(driver, operation)) == expected


# WebRTC's peer, on a thread of its own, uses the module meanwhile.
@pytest.mark.filterwarnings("ignore:Do not use the `random` module")
@each_of(CHEAP)
def test_any_request_that_fits_is_answered_the_same_through_every_door(
    loop: BackgroundLoop, all_doors: dict[str, Driver], operation: Operation
) -> None:
    asked = [each for each in all_doors.values() if operation.kind in each.kinds]

    @settings(
        max_examples=10,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.data())
    def answered(data: st.DataObject) -> None:
        body = msgspec.json.encode(data.draw(strategy(operation.request)))
        loop.run(checks.answers_anything_valid(asked, operation, body))

    answered()


@each_of(ALL)
def test_bad_input_is_refused_in_the_same_words(
    loop: BackgroundLoop, driver: Driver, reference: Driver, operation: Operation
) -> None:
    loop.run(checks.refuses_bad_input(driver, reference, operation))


@each_of(LISTENING)
def test_bad_items_are_refused_in_the_same_words(
    loop: BackgroundLoop, driver: Driver, reference: Driver, operation: Operation
) -> None:
    loop.run(checks.refuses_bad_items(driver, reference, operation))


@pytest.mark.parametrize("name", UNKNOWN)
def test_an_unknown_operation_is_not_found(loop: BackgroundLoop, driver: Driver, name: str) -> None:
    loop.run(checks.knows_no_such_operation(driver, name))


@each_of(WORKING)
def test_a_call_needs_a_key_that_counts(
    loop: BackgroundLoop, keyed: Driver, operation: Operation, keys: doors.Keys
) -> None:
    for key in (None, "wrong", "sns_0_0", keys.revoked, keys.narrow + "x"):
        loop.run(checks.refuses_without_key(keyed, operation, key))


@each_of(WORKING)
def test_a_key_covers_its_operations_only(
    loop: BackgroundLoop, keyed: Driver, operation: Operation, keys: doors.Keys
) -> None:
    loop.run(checks.refuses_what_the_key_does_not_cover(keyed, operation, keys.narrow))


@each_of(WORKING)
def test_a_key_has_its_rate(
    loop: BackgroundLoop, keyed: Driver, operation: Operation, keys: doors.Keys
) -> None:
    key = keys.slow[keyed.name]
    loop.run(checks.refuses_more_than_the_keys_rate(keyed, operation, key))


@each_of([each for each in SLOW if each.kind is Kind.UNARY])
def test_a_deadline_ends_the_call(
    loop: BackgroundLoop, timed: Driver, operation: Operation
) -> None:
    _needs_to_stop(timed, operation)
    loop.run(checks.keeps_a_deadline(timed, operation))


@each_of([each for each in WORKING if each in SLOW or each in LISTENING])
def test_a_cancelled_call_stops_computing(
    loop: BackgroundLoop, driver: Driver, operation: Operation
) -> None:
    _needs_to_stop(driver, operation)
    loop.run(checks.stops_when_cancelled(driver, operation))


@each_of(STREAMING)
def test_a_stream_ends(loop: BackgroundLoop, driver: Driver, operation: Operation) -> None:
    loop.run(checks.ends_streams(driver, operation))


@each_of(STREAMING)
def test_an_error_in_the_middle_of_a_stream(
    loop: BackgroundLoop, driver: Driver, operation: Operation
) -> None:
    loop.run(checks.fails_in_the_middle(driver, operation))


def test_calls_at_once_are_not_mixed_up(loop: BackgroundLoop, driver: Driver) -> None:
    assert len(ECHOING) > 4
    loop.run(checks.mixes_nothing_up(driver, ECHOING))


@each_of([each for each in ALL if each.name in doors.FAILING])
def test_a_failure_has_its_code(loop: BackgroundLoop, driver: Driver, operation: Operation) -> None:
    body = b'{"token": "secret"}' if operation.example is None else checks.example_body(operation)
    outcome = loop.run(checks.made(driver, operation, body))
    checks.refused(outcome, doors.FAILING[operation.name], operation.name)
    assert "path" not in outcome.message


def _needs_to_stop(driver: Driver, operation: Operation) -> None:
    if operation.name in doors.NEVER_LOOKS and not driver.kills:
        pytest.skip("a thread cannot be killed; that is what worker processes are for")
