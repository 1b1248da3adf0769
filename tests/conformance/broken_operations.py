"""Operations that are broken on purpose, for the suite to find out."""

import asyncio
import time
from collections.abc import AsyncIterator

from msgspec import Struct
from sensorium_testing import Item, Times, Token

from sensorium.core.operation import Context, Execution, WorkContext, operation

EXAMPLE = Token(token="a")


class Loose(Struct, frozen=True, kw_only=True):
    """A request that takes whatever comes."""

    token: str = ""
    seconds: float = 0.0


@operation("broken.loses", execution=Execution.INLINE, example=EXAMPLE)
def loses(request: Token, context: WorkContext) -> Item:
    """Answers something that lacks a field."""
    del context
    return request  # type: ignore[return-value]


_last = [EXAMPLE]


@operation("broken.mixes", execution=Execution.ASYNC, example=EXAMPLE)
async def mixes(request: Token, context: Context) -> Token:
    """Answers what the latest caller sent, whoever asks."""
    del context
    _last[0] = request
    await asyncio.sleep(0.01)
    return _last[0]


@operation("broken.deaf", execution=Execution.THREAD, example=EXAMPLE)
def deaf(request: Token, context: WorkContext) -> Token:
    """Goes on, wanted or not."""
    del context
    until = time.monotonic() + request.seconds
    while time.monotonic() < until:
        time.sleep(0.01)
    return request


@operation("broken.endless", execution=Execution.ASYNC, example=Times())
async def endless(request: Times, context: Context) -> AsyncIterator[Item]:
    """Has no end."""
    del context
    for index in range(request.count):
        yield Item(index=index)
    await asyncio.Event().wait()


@operation("broken.takes_all", execution=Execution.INLINE, example=Loose())
def takes_all(request: Loose, context: WorkContext) -> Token:
    """Does not mind a field that it does not know."""
    del context
    return Token(token=request.token, seconds=request.seconds)
