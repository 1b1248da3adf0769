"""Tokens as they come, spelled as text that can be shown: whole characters, and no stop text."""

from collections.abc import Callable, Sequence

from sensorium.models.backends.stops import Stops

UNFINISHED = "\ufffd"
"""How the bytes of a character that is not whole yet are decoded."""


class Spelling:
    """The text of tokens, as far as it is certain.

    Tokens are decoded with those before them, as spaces and characters may span several. What
    could be the beginning of a stop text is kept back until it is known not to be.
    """

    def __init__(self, decode: Callable[[list[int]], str], stops: Sequence[str] = ()) -> None:
        self.stops = Stops(stops)
        self._decode = decode
        self._tokens: list[int] = []
        self._before = 0
        self._known = 0

    @property
    def stopped(self) -> bool:
        """Whether a stop text has come; what follows is not shown."""
        return bool(self.stops.by)

    def add(self, token: int) -> str:
        """What can be shown now that this token has come; perhaps nothing yet."""
        self._tokens.append(token)
        known = self._decode(self._tokens[self._before : self._known])
        whole = self._decode(self._tokens[self._before :])
        if len(whole) <= len(known) or whole.endswith(UNFINISHED):
            return ""
        self._before, self._known = self._known, len(self._tokens)
        return self.stops.let_out(whole[len(known) :])

    def rest(self) -> str:
        """What was kept back, now that nothing more comes."""
        if self.stopped:
            return ""
        known = self._decode(self._tokens[self._before : self._known])
        whole = self._decode(self._tokens[self._before :])
        self._before = self._known = len(self._tokens)
        return self.stops.let_out(whole[len(known) :]) + self.stops.rest()
