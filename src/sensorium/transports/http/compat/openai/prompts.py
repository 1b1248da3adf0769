"""Texts as the older interfaces take them: one or several, as text or as tokens."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, TypeVar

from msgspec import Meta, Struct

from sensorium.core.errors import InvalidInputError
from sensorium.transports.http.compat.call import Call

T = TypeVar("T")
R = TypeVar("R")
AT_ONCE = 8
"""Calls that are made side by side for one request."""
Texts = str | list[str | int | Annotated[list[int], Meta(min_length=1)]]
"""A text, texts, a text's tokens, or those of texts."""


class _Text(Struct):
    text: str


async def texts_of(call: Call, given: Texts, model: str, field: str, most: int) -> list[str]:
    """The texts; tokens are those of the model. Only within `exchange.while_connected`.

    Raises:
        InvalidInputError: there is none, there are more than `most`, or they are mixed.
    """
    parts = _parts(given)
    if not parts:
        raise InvalidInputError(
            "give one text or more, or the tokens of one or more", details={"at": field}
        )
    if len(parts) > most:
        raise InvalidInputError(f"there are at most {most}", details={"at": field})

    async def text(part: str | list[int]) -> str:
        if isinstance(part, str):
            return part
        asked = {"model": model, "tokens": part}
        request = call.request("text.detokenize", asked, {"tokens": field})
        return (await call.ask("text.detokenize", request, _Text)).text

    return await side_by_side(text, parts)


async def side_by_side(make: Callable[[T], Awaitable[R]], items: Sequence[T]) -> list[R]:
    """What is made of each, some at once; the first error ends all."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(item: T) -> R:
        async with gate:
            return await make(item)

    tasks = [asyncio.ensure_future(one(item)) for item in items]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _parts(given: Texts) -> list[str | list[int]]:
    """Texts, or tokens of texts; none where these are mixed."""
    if isinstance(given, str):
        return [given]
    tokens = [part for part in given if isinstance(part, int)]
    if tokens:
        return [tokens] if len(tokens) == len(given) else []
    parts = [part for part in given if not isinstance(part, int)]
    return parts if len({type(part) for part in parts}) == 1 else []
