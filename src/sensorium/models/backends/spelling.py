"""Tokens as they come, spelled as text that can be shown: whole characters, and no stop text."""

from collections.abc import Callable, Sequence

UNFINISHED = "\ufffd"
"""How the bytes of a character that is not whole yet are decoded."""


class Spelling:
    """The text of tokens, as far as it is certain.

    Tokens are decoded with those before them, as spaces and characters may span several. What
    could be the beginning of a stop text is kept back until it is known not to be.
    """

    def __init__(self, decode: Callable[[list[int]], str], stops: Sequence[str] = ()) -> None:
        self.stopped = False
        """Whether a stop text has come; what follows is not shown."""
        self._decode = decode
        self._stops = [stop for stop in stops if stop]
        self._tokens: list[int] = []
        self._before = 0
        self._known = 0
        self._held = ""

    def add(self, token: int) -> str:
        """What can be shown now that this token has come; perhaps nothing yet."""
        self._tokens.append(token)
        known = self._decode(self._tokens[self._before : self._known])
        whole = self._decode(self._tokens[self._before :])
        if len(whole) <= len(known) or whole.endswith(UNFINISHED):
            return ""
        self._before, self._known = self._known, len(self._tokens)
        return self._let_out(whole[len(known) :])

    def rest(self) -> str:
        """What was kept back, now that nothing more comes."""
        if self.stopped:
            return ""
        known = self._decode(self._tokens[self._before : self._known])
        whole = self._decode(self._tokens[self._before :])
        self._before = self._known = len(self._tokens)
        shown = self._let_out(whole[len(known) :])
        held, self._held = self._held, ""
        return shown + ("" if self.stopped else held)

    def _let_out(self, text: str) -> str:
        text = self._held + text
        places = [at for stop in self._stops if (at := text.find(stop)) >= 0]
        if places:
            self.stopped, self._held = True, ""
            return text[: min(places)]
        keep = max((_overlap(text, stop) for stop in self._stops), default=0)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]


def _overlap(text: str, stop: str) -> int:
    """How many of the last characters of a text could begin a stop text."""
    longest = min(len(text), len(stop) - 1)
    return next((n for n in range(longest, 0, -1) if text.endswith(stop[:n])), 0)
