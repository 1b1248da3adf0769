"""Whether anybody still wants a text, asked while none of it comes."""

import time
from collections.abc import Callable

from sensorium.core.generation import Piece

Emit = Callable[[Piece], bool]
LOOK_S = 0.1
"""How often it is asked."""


class UnwantedError(Exception):
    """Nobody wants the text any more."""


class Looking:
    """Hands out the pieces of one text, and knows whether more are wanted."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._asked = time.monotonic()
        self._wanted = True

    def emit(self, piece: Piece) -> bool:
        """Hand out a piece; False where no more are wanted."""
        self._wanted = self._wanted and self._emit(piece)
        self._asked = time.monotonic()
        return self._wanted

    def wanted(self) -> bool:
        """Whether more is wanted; where no piece has told that lately, an empty one asks."""
        if time.monotonic() - self._asked > LOOK_S:
            self.emit(Piece())
        return self._wanted

    def check(self) -> None:
        """Raise UnwantedError where no more is wanted."""
        if not self.wanted():
            raise UnwantedError
