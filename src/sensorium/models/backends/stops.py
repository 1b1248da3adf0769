"""Texts that end a text, found as it comes."""

from collections.abc import Sequence


class Stops:
    """Lets out a text up to one of these; what may be the beginning of one is kept back."""

    def __init__(self, stops: Sequence[str]) -> None:
        self.by = ""
        """The one that has come; what follows is not let out."""
        self._stops = [stop for stop in stops if stop]
        self._held = ""

    def let_out(self, text: str) -> str:
        """What can be shown now that this has come; perhaps nothing yet."""
        if not self._stops:
            return text
        text = self._held + text
        found = [(at, stop) for stop in self._stops if (at := text.find(stop)) >= 0]
        if found:
            at, self.by = min(found)
            self._held = ""
            return text[:at]
        keep = max((_overlap(text, stop) for stop in self._stops), default=0)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def rest(self) -> str:
        """What was kept back, now that nothing more comes."""
        held, self._held = self._held, ""
        return held


def _overlap(text: str, stop: str) -> int:
    """How many of the last characters of a text could begin a stop text."""
    longest = min(len(text), len(stop) - 1)
    return next((n for n in range(longest, 0, -1) if text.endswith(stop[:n])), 0)
