"""Tokens that a key may spend."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from sensorium.control.spending import Spending
from sensorium.core.dispatch import Principal
from sensorium.core.errors import RateLimitedError
from sensorium.core.generation import Piece

KEY = Principal("key", tokens_per_minute=100)
LONG = "four letters and more" * 40


async def text(*pieces: Piece) -> AsyncGenerator[Piece, None]:
    for piece in pieces:
        yield piece


async def read(spending: Spending, *pieces: Piece, until: int = 99) -> None:
    async with aclosing(spending.charged(KEY, text(*pieces))) as charged:
        seen = 0
        async for _ in charged:
            seen += 1
            if seen == until:
                break


def test_what_a_text_took_is_taken_from_the_key() -> None:
    spending = Spending()
    last = Piece(finish="stop", prompt_tokens=40, generated_tokens=50)
    asyncio.run(read(spending, Piece(text="a"), last))
    spending.check(KEY)  # ten are left: another may begin, and owes what it takes too much
    asyncio.run(read(spending, last))
    with pytest.raises(RateLimitedError, match="100 tokens a minute") as refused:
        spending.check(KEY)
    assert refused.value.retry_after_s is not None
    assert 40 < refused.value.retry_after_s < 60
    spending.check(Principal("another", tokens_per_minute=100))
    spending.check(Principal("free"))


def test_a_text_that_is_broken_off_costs_too() -> None:
    spending = Spending()
    asyncio.run(read(spending, Piece(text=LONG), Piece(finish="stop"), until=1))
    with pytest.raises(RateLimitedError):
        asyncio.run(read(spending, Piece(text="a")))
