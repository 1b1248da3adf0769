"""A plugin with operations of every kind and execution class, for the tests."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from typing import Annotated

from msgspec import Meta, Struct

from sensorium.core.errors import InvalidInputError
from sensorium.core.operation import Context, Execution, WorkContext, operation


class Token(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something that must come back to whoever sent it, and to nobody else."""

    token: Annotated[str, Meta(max_length=1_000_000, description="Comes back as it is.")]
    seconds: Annotated[float, Meta(ge=0, le=600, description="How long to take.")] = 0.0


class Times(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many items to send, how far apart, and after how many to fail."""

    count: Annotated[int, Meta(ge=0, le=10_000_000, description="How many items.")] = 3
    seconds: Annotated[float, Meta(ge=0, le=600, description="The time before each.")] = 0.0
    fail_after: Annotated[
        Annotated[int, Meta(ge=0, le=10_000_000)] | None,
        Meta(description="Fail after so many items."),
    ] = None


class Item(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One item of a stream."""

    index: Annotated[int, Meta(ge=0, le=2**63 - 1, description="Its number, from 0 on.")]
    token: Annotated[str, Meta(max_length=1_000_000, description="Of the item it answers.")] = ""


class Lines(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Lines, and a thing beside them."""

    lines: Annotated[
        list[Annotated[str, Meta(max_length=1_000_000)]],
        Meta(max_length=10_000_000, description="Lines to count."),
    ]
    beside: Annotated[int, Meta(ge=0, le=10, description="Comes back as it is.")] = 0


class Counted(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many lines and characters came."""

    lines: Annotated[int, Meta(ge=0, le=2**63 - 1, description="How many lines came.")]
    characters: Annotated[int, Meta(ge=0, le=2**63 - 1, description="Without line ends.")]
    beside: Annotated[int, Meta(ge=0, le=10, description="As it was sent.")]


class Question(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One that needs no words."""


EXAMPLE = Token(token="a")
PAUSE_S = 0.005


@operation("testing.inline", execution=Execution.INLINE, example=EXAMPLE)
def inline(request: Token, context: WorkContext) -> Token:
    """The token, on the event loop."""
    del context
    return request


@operation("testing.awaiting", execution=Execution.ASYNC, example=EXAMPLE)
async def awaiting(request: Token, context: Context) -> Token:
    """The token, after waiting on the event loop."""
    del context
    await asyncio.sleep(request.seconds)
    return request


@operation("testing.tasks", execution=Execution.ASYNC, example=Question())
async def tasks(request: Question, context: Context) -> Item:
    """How many tasks the server's event loop has."""
    del request, context
    return Item(index=len(asyncio.all_tasks()))


@operation("testing.thread", execution=Execution.THREAD, example=EXAMPLE)
def thread(request: Token, context: WorkContext) -> Token:
    """The token, after waiting on a thread."""
    _wait(request.seconds, context)
    return request


@operation("testing.process", execution=Execution.PROCESS, example=EXAMPLE)
def process(request: Token, context: WorkContext) -> Token:
    """The token, after computing in a worker."""
    _compute(request.seconds, context)
    return request


@operation("testing.stuck", execution=Execution.PROCESS, example=EXAMPLE)
def stuck(request: Token, context: WorkContext) -> Token:
    """The token, after computing without ever looking whether it is still wanted."""
    del context
    until = time.monotonic() + request.seconds
    while time.monotonic() < until:
        pass
    return request


@operation("testing.nested", execution=Execution.ASYNC, example=EXAMPLE)
async def nested(request: Token, context: Context) -> Token:
    """The token, by way of another operation."""
    return await context.call("testing.process", request, returns=Token)


@operation("testing.fail", execution=Execution.PROCESS)
def fail(request: Token, context: WorkContext) -> Token:
    """Fails, as a bug does."""
    del context
    raise RuntimeError(f"secret in /a/path: {request.token}")


@operation("testing.refuse", execution=Execution.THREAD)
def refuse(request: Token, context: WorkContext) -> Token:
    """Refuses, as bad input is refused."""
    del context
    raise InvalidInputError("refused", details={"token": request.token})


_changes: list[str] = []


@operation("testing.change", execution=Execution.ASYNC, changes=True, example=EXAMPLE)
async def change(request: Token, context: Context) -> Item:
    """Changes something, and says how often it did."""
    del context
    await asyncio.sleep(request.seconds)
    _changes.append(request.token)
    return Item(index=len(_changes), token=request.token)


@operation("testing.nested_change", execution=Execution.ASYNC, example=EXAMPLE)
async def nested_change(request: Token, context: Context) -> Item:
    """Changes something twice, by way of another operation."""
    await context.call("testing.change", request, returns=Item)
    return await context.call("testing.change", request, returns=Item)


@operation(
    "testing.lines", execution=Execution.PROCESS, lines_field="lines", example=Lines(lines=["a"])
)
def lines(request: Lines, context: WorkContext) -> Counted:
    """How many lines and characters came."""
    context.check()
    characters = sum(map(len, request.lines))
    return Counted(lines=len(request.lines), characters=characters, beside=request.beside)


@operation("testing.count", execution=Execution.PROCESS, example=Times())
def count(request: Times, context: WorkContext) -> Iterator[Item]:
    """Items one after the other, from a worker."""
    for index in range(request.count):
        if index == request.fail_after:
            raise InvalidInputError("failed where it was told to")
        _wait(request.seconds, context)
        context.check()
        yield Item(index=index)


@operation("testing.count_async", execution=Execution.ASYNC, example=Times())
async def count_async(request: Times, context: Context) -> AsyncIterator[Item]:
    """Items one after the other, from the event loop."""
    del context
    for index in range(request.count):
        if index == request.fail_after:
            raise InvalidInputError("failed where it was told to")
        await asyncio.sleep(request.seconds)
        yield Item(index=index)


@operation(
    "testing.mirror", execution=Execution.PROCESS, example=Times(), incoming_example=(EXAMPLE,)
)
def mirror(request: Times, incoming: Iterator[Token], context: WorkContext) -> Iterator[Item]:
    """Each item back with its number, from a worker, until there are no more."""
    del request
    for index, item in enumerate(incoming):
        context.check()
        yield Item(index=index, token=item.token)


@operation(
    "testing.mirror_async", execution=Execution.ASYNC, example=Times(), incoming_example=(EXAMPLE,)
)
async def mirror_async(
    request: Times, incoming: AsyncIterator[Token], context: Context
) -> AsyncIterator[Item]:
    """Each item back with its number, from the event loop, until there are no more."""
    del request, context
    index = 0
    async for item in incoming:
        yield Item(index=index, token=item.token)
        index += 1


@operation(
    "testing.slow_mirror",
    execution=Execution.PROCESS,
    example=Times(),
    incoming_example=(EXAMPLE,),
)
def slow_mirror(request: Times, incoming: Iterator[Token], context: WorkContext) -> Iterator[Item]:
    """Each item back with its number, some time after it came."""
    for index, item in enumerate(incoming):
        _wait(request.seconds, context)
        yield Item(index=index, token=item.token)


def _wait(seconds: float, context: WorkContext) -> None:
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        context.check()
        time.sleep(min(left, PAUSE_S))


def _compute(seconds: float, context: WorkContext) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        context.check()
