"""What is promised of every operation through every door. Each check raises AssertionError."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from typing import Any

import msgspec
import psutil
from msgspec.structs import fields

from sensorium.core.operation import Kind, Operation
from tests.conformance.driver import Call, Driver, Outcome
from tests.conformance.samples import BadRequest, bad_requests

STOPPED_S = 20.0
"""How soon after a cancellation its slot must be free."""
IDLE_CPU_S = 0.05
PATIENCE_S = 20.0
LONG_S = 60.0
"""A call that is to be cancelled would take so long."""

VOLATILE: dict[str, tuple[str, ...]] = {
    "chat.complete": ("timing", "usage.cached_tokens"),
    "text.complete": ("timing", "usage.cached_tokens"),
    "chat.stream": ("told.timing", "told.usage.cached_tokens"),
    "text.stream": ("told.timing", "told.usage.cached_tokens"),
    "models.get": ("loaded", "entry.state"),
    "models.list": ("loaded", "models.state"),
    "models.load": ("state", "in_use", "expires_in_s", "load_s"),
    "resources.lease": ("lease", "expires_in_s"),
    "resources.usage": ("devices", "leases"),
    "pipelines.run": ("stages", "seconds"),
    "system.activity": ("uptime_s", "event_loop_lag_s", "operations", "recent"),
    "system.hardware": ("memory.now", "gpus.now"),
    "system.ready": ("doors", "ports", "capabilities", "models", "workers"),
    "testing.change": ("index",),
    "testing.nested_change": ("index",),
    "webrtc.offer": ("session", "sdp"),
    "webrtc.sessions": ("sessions",),
    "testing.tasks": ("index",),
}
"""The fields of an answer that may differ between two doors, by operation; dots lead inside."""


async def answers(driver: Driver, operation: Operation) -> list[Any]:
    """The operation's own example is answered, to the letter of its Structs.

    Returns the answers without what is volatile, to compare doors.
    """
    outcome = await made(driver, operation, example_body(operation))
    ended_well(outcome)
    if operation.kind is Kind.UNARY:
        assert len(outcome.items) == 1
    return _joined([_settled(operation, conforming(operation, item)) for item in outcome.items])


async def answers_anything_valid(
    drivers: Sequence[Driver], operation: Operation, body: bytes
) -> None:
    """A request that fits the Struct is answered, or refused, by all doors alike."""
    outcomes = await asyncio.gather(*(made(each, operation, body) for each in drivers))
    for outcome in outcomes:
        if outcome.code is None:
            ended_well(outcome)
        assert outcome.code in (None, "invalid_input", "not_found"), outcome
        items = [_settled(operation, conforming(operation, item)) for item in outcome.items]
        assert (outcome.code, items) == (
            outcomes[0].code,
            [_settled(operation, msgspec.json.decode(item)) for item in outcomes[0].items],
        )


async def refuses_bad_input(driver: Driver, reference: Driver, operation: Operation) -> None:
    """Each way to be wrong is `invalid_input`, in the same words as through `reference`."""
    for bad in bad_requests(operation.request, operation.example):
        if driver.carries(operation, bad):
            outcome = await made(driver, operation, bad.body)
            refused(outcome, "invalid_input", bad)
            if bad.at and driver.carries_json(operation):
                expected = await made(reference, operation, bad.body)
                _same_error(outcome, expected, bad)


async def refuses_bad_items(driver: Driver, reference: Driver, operation: Operation) -> None:
    """A listening operation refuses a bad item, after what the good ones before it brought."""
    assert operation.incoming is not None
    good = operation.incoming_example[0]
    for bad in bad_requests(operation.incoming, good):
        if not driver.carries_item(operation, bad):
            continue
        items = [msgspec.json.encode(good), bad.body]
        outcome = await made(driver, operation, example_body(operation), items)
        refused(outcome, "invalid_input", bad)
        expected = await made(reference, operation, example_body(operation), items)
        if bad.at:
            _same_error(outcome, expected, bad)


async def knows_no_such_operation(driver: Driver, name: str) -> None:
    """An unknown name is `not_found`."""
    outcome = await in_time(driver, Call(name))
    refused(outcome, "not_found", name)


async def refuses_without_key(driver: Driver, operation: Operation, key: str | None) -> None:
    """No key, or one that is not known here: `unauthenticated`, unless it is public."""
    if key is None and operation.public and driver.lets_strangers_in:
        ended_well(await made(driver, operation, example_body(operation), key=key))
        return
    outcome = await made(driver, operation, example_body(operation), key=key)
    refused(outcome, "unauthenticated", key)


async def refuses_what_the_key_does_not_cover(
    driver: Driver, operation: Operation, key: str
) -> None:
    """A key with a list of operations is `forbidden` every other one, public ones aside."""
    outcome = await made(driver, operation, example_body(operation), key=key)
    if operation.public:
        ended_well(outcome)
    else:
        refused(outcome, "forbidden", key)


async def refuses_more_than_the_keys_rate(driver: Driver, operation: Operation, key: str) -> None:
    """The second call of a key that may make one in a thousand seconds waits, public ones aside."""
    outcomes = [await made(driver, operation, example_body(operation), key=key) for _ in range(2)]
    if operation.public:
        ended_well(outcomes[-1])
        return
    refused(outcomes[-1], "rate_limited", key)
    assert (outcomes[-1].retry_after_s or 0) > 1


async def keeps_a_deadline(driver: Driver, operation: Operation) -> None:
    """A call that takes longer ends as `deadline_exceeded`, and nothing goes on computing."""
    began = time.monotonic()
    outcome = await made(driver, operation, slow_body(operation), deadline_s=0.2)
    refused(outcome, "deadline_exceeded", operation.name)
    assert time.monotonic() - began < 25
    await idle(driver)


async def stops_when_cancelled(driver: Driver, operation: Operation) -> None:
    """A call that is cancelled in the middle stops long before its end, and its slot is free."""
    await idle(driver)
    going = asyncio.Event()
    incoming = None
    if operation.kind is Kind.DUPLEX:
        incoming = _endless(operation)
    call = Call(operation.name, slow_body(operation), incoming, on_item=going.set)
    task = asyncio.create_task(driver.call(call))
    try:
        if operation.kind is Kind.SERVER_STREAM:
            await asyncio.wait_for(going.wait(), PATIENCE_S)
        else:
            await until(lambda: _busy(driver), "the call runs")
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    await idle(driver, STOPPED_S)
    await until(lambda: _uses_no_cpu(driver), "the compute stops", STOPPED_S)


async def ends_streams(driver: Driver, operation: Operation) -> None:
    """As many items as asked for, in order, and then exactly one end."""
    for count in (0, 1, 3, 200):
        body = msgspec.json.encode({"count": count})
        outcome = await in_time(driver, Call(operation.name, body))
        ended_well(outcome)
        assert _numbers(outcome) == list(range(count))


async def fails_in_the_middle(driver: Driver, operation: Operation) -> None:
    """An error after two items comes after exactly these two, in place of the end."""
    body = msgspec.json.encode({"count": 5, "fail_after": 2})
    outcome = await in_time(driver, Call(operation.name, body))
    assert _numbers(outcome) == [0, 1]
    refused(outcome, "invalid_input", body)
    assert outcome.message == "failed where it was told to"


async def mixes_nothing_up(driver: Driver, operations: Iterable[Operation]) -> None:
    """Of many calls at once, each gets its own answer."""
    names = [operation.name for operation in operations] * 8
    tokens = [f"token-{number}" for number in range(len(names))]
    outcomes = await asyncio.gather(
        *(
            in_time(driver, Call(name, msgspec.json.encode({"token": token})))
            for name, token in zip(names, tokens, strict=True)
        )
    )
    for token, outcome in zip(tokens, outcomes, strict=True):
        ended_well(outcome)
        assert msgspec.json.decode(outcome.items[0])["token"] == token


async def made(
    driver: Driver,
    operation: Operation,
    body: bytes,
    items: Sequence[bytes] | None = None,
    **options: Any,
) -> Outcome:
    """A call of that operation; one that listens is sent its example, or `items`."""
    incoming = None
    if operation.kind is Kind.DUPLEX:
        examples = [msgspec.json.encode(item) for item in operation.incoming_example]
        incoming = _sent(examples if items is None else items)
    return await in_time(driver, Call(operation.name, body, incoming, **options))


async def in_time(driver: Driver, call: Call) -> Outcome:
    """A call that must end by itself."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            return await driver.call(call)
    except TimeoutError:
        raise AssertionError(f"{call.name} did not end within {PATIENCE_S} s") from None


def ended_well(outcome: Outcome) -> None:
    """It was answered, and the door said that it was over."""
    assert outcome.code is None, f"{outcome.code}: {outcome.message} {outcome.details}"
    assert outcome.ended, "it stopped without an end"


def refused(outcome: Outcome, code: str, why: object) -> None:
    """It ended with that error."""
    assert outcome.code == code, f"{str(why)[:300]} brought {outcome}"[:2000]
    assert not outcome.ended


def conforming(operation: Operation, item: bytes) -> Any:
    """The answer as plain values: exactly what the Struct holds, nothing less and nothing more."""
    found = msgspec.json.decode(item)
    try:
        value = msgspec.json.decode(item, type=operation.response)
    except msgspec.ValidationError as error:
        raise AssertionError(f"{operation.name} answered {item[:200]!r}: {error}") from None
    assert msgspec.json.decode(msgspec.json.encode(value)) == found
    return found


def example_body(operation: Operation) -> bytes:
    """The operation's own example."""
    return msgspec.json.encode(operation.example)


def slow_body(operation: Operation) -> bytes:
    """A request that takes long: of one that takes `seconds`."""
    values = msgspec.json.decode(example_body(operation))
    if operation.kind is Kind.SERVER_STREAM:
        values |= {"count": 1_000_000, "seconds": 0.5}
    elif operation.kind is Kind.UNARY:
        values |= {"seconds": LONG_S}
    return msgspec.json.encode(values)


def takes(operation: Operation, *names: str) -> bool:
    """Whether its request has these fields."""
    return set(names) <= {field.encode_name for field in fields(operation.request)}


async def idle(driver: Driver, within_s: float = PATIENCE_S) -> None:
    """Wait until the server behind runs nothing and holds no slot."""

    async def nothing_runs() -> bool:
        return await driver.load() == 0

    await until(nothing_runs, "nothing runs any more", within_s)


async def until(
    condition: Callable[[], Awaitable[bool]], what: str, within_s: float = PATIENCE_S
) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + within_s
    while not await condition():
        assert time.monotonic() < deadline, f"waited {within_s} s in vain until {what}"
        await asyncio.sleep(0.01)


async def _busy(driver: Driver) -> bool:
    return await driver.load() > 0


async def _uses_no_cpu(driver: Driver) -> bool:
    """Whether the server and its workers computed next to nothing for a fifth of a second."""
    before = _cpu_s(driver.process_id)
    await asyncio.sleep(0.2)
    return _cpu_s(driver.process_id) - before < IDLE_CPU_S


def _cpu_s(process_id: int) -> float:
    process = psutil.Process(process_id)
    total = 0.0
    for each in (process, *process.children(recursive=True)):
        try:
            times = each.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system
    return total


def _numbers(outcome: Outcome) -> list[int]:
    return [msgspec.json.decode(item)["index"] for item in outcome.items]


def _same_error(outcome: Outcome, expected: Outcome, bad: BadRequest) -> None:
    assert (outcome.code, outcome.message, outcome.details) == (
        *(expected.code, expected.message, expected.details),
    ), bad
    assert len(outcome.items) <= len(expected.items) or outcome.items == expected.items


def _settled(operation: Operation, value: Any) -> Any:
    for path in VOLATILE.get(operation.name, ()):
        value = _without(value, path)
    return value


def _joined(items: list[Any]) -> list[Any]:
    """Pieces of a text that came one after the other, as one: how they are cut depends on when
    they came."""
    joined: list[Any] = []
    for item in items:
        before = joined[-1] if joined else None
        if isinstance(before, dict) and list(before) == list(item) == ["text"]:
            joined[-1] = {"text": before["text"] + item["text"]}
        else:
            joined.append(item)
    return joined


def _without(value: Any, path: str) -> Any:
    """A value without what lies there; a list without what lies there in each of its items."""
    if isinstance(value, list):
        return [_without(item, path) for item in value]
    name, _, rest = path.partition(".")
    if not rest:
        return {k: v for k, v in value.items() if k != name}
    return {k: _without(v, rest) if k == name else v for k, v in value.items()}


async def _sent(items: Sequence[bytes]) -> AsyncIterator[bytes]:
    for item in items:
        yield item


async def _endless(operation: Operation) -> AsyncIterator[bytes]:
    """The examples, and then nothing for ever."""
    for item in operation.incoming_example:
        yield msgspec.json.encode(item)
    await asyncio.Event().wait()
