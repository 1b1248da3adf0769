"""Tokens that a key may spend: so many a minute, refilled all the time."""

import math
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing

from sensorium.core.dispatch import Principal
from sensorium.core.errors import RateLimitedError
from sensorium.core.generation import Piece

MINUTE_S = 60.0
TRACKED = 10_000
CHARACTERS = 4
"""Of a token, where nobody has told how many there were."""


class Spending:
    """What each key has left of its tokens.

    How many a text will take is known only afterwards: it is begun while anything is left, and
    what it takes too much is owed. Several at once may owe several texts' worth.
    """

    def __init__(self) -> None:
        self._left: dict[str, tuple[float, float]] = {}
        """By key: what was left, and when."""

    def check(self, principal: Principal) -> None:
        """Whether a text may be begun.

        Raises:
            RateLimitedError: the key has spent its tokens, and more.
        """
        limit = principal.tokens_per_minute
        if limit is None:
            return
        left = self._now(principal.id, limit)
        if left <= 0:
            wait_s = (1 - left) * MINUTE_S / limit
            raise RateLimitedError(
                f"this key may spend {limit} tokens a minute, and has; try again in "
                f"{math.ceil(wait_s)} s",
                retry_after_s=max(0.001, round(wait_s, 3)),
            )

    def spend(self, principal: Principal, tokens: int) -> None:
        """Take what a text took, also beyond what is left."""
        limit = principal.tokens_per_minute
        if limit is None or not tokens:
            return
        left = self._now(principal.id, limit) - tokens
        if len(self._left) >= TRACKED and principal.id not in self._left:
            self._left.clear()
        self._left[principal.id] = (left, time.monotonic())

    async def charged(
        self, principal: Principal, pieces: AsyncGenerator[Piece, None]
    ) -> AsyncGenerator[Piece, None]:
        """The pieces of a text, which the key pays for; a text that is broken off, about.

        Raises:
            RateLimitedError: it has nothing left.
        """
        tokens, characters = 0, 0
        try:
            async with aclosing(pieces):
                self.check(principal)
                async for piece in pieces:
                    characters += len(piece.text) + len(piece.reasoning)
                    tokens = piece.prompt_tokens + piece.generated_tokens
                    yield piece
        finally:
            self.spend(principal, tokens or characters // CHARACTERS)

    def _now(self, key_id: str, limit: int) -> float:
        left, at = self._left.get(key_id, (float(limit), 0.0))
        return min(float(limit), left + (time.monotonic() - at) * limit / MINUTE_S)
