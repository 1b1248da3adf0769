"""What is over at a moment of its own, and a timer for the first of them."""

import asyncio
import heapq
import time
from collections.abc import Callable, Iterator

MANY = 1000
"""So many entries may be out of date, beside as many as are not."""


class Expiry:
    """Moments by key, on the clock of `time.monotonic`; `on_due` is called when the first comes."""

    def __init__(self, on_due: Callable[[], None]) -> None:
        self._on_due = on_due
        self._moments: dict[str, float] = {}
        self._order: list[tuple[float, str]] = []
        """A heap; holds moments that were put off or forgotten, too."""
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        """How many moments it holds, those that no longer count among them."""
        return len(self._order)

    def note(self, key: str, at: float) -> None:
        """Have a key be over at a moment, which takes the place of the one it had."""
        self._moments[key] = at
        if len(self._order) > 2 * len(self._moments) + MANY:
            self._order = [(moment, each) for each, moment in self._moments.items()]
            heapq.heapify(self._order)
        heapq.heappush(self._order, (at, key))
        if self._order[0][1] == key:
            self._set_timer()

    def forget(self, key: str) -> None:
        """Have a key never be over."""
        self._moments.pop(key, None)

    def due(self) -> Iterator[str]:
        """The keys that are over by now, each told once."""
        now = time.monotonic()
        while self._order and self._order[0][0] <= now:
            moment, key = heapq.heappop(self._order)
            if self._moments.get(key) == moment:
                del self._moments[key]
                yield key

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        if self._order:
            delay_s = max(0.0, self._order[0][0] - time.monotonic())
            self._timer = asyncio.get_running_loop().call_later(delay_s, self._on_timer)

    def _on_timer(self) -> None:
        self._on_due()
        self._set_timer()
