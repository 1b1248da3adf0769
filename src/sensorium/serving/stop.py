"""The wish that a server ends, from a signal or from whoever started it."""

import asyncio
import signal
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any


class Stop:
    """The wish that the server ends: first to let what runs finish, then not to wait for it."""

    def __init__(self) -> None:
        self.leaving = asyncio.Event()
        self.hurry = asyncio.Event()
        self._asked = False

    def ask(self) -> None:
        """Ask for it, as a signal does; the second time is in earnest."""
        if self._asked:
            self.hurry.set()
        self._asked = True
        self.leaving.set()

    async def patiently(self, work: Coroutine[Any, Any, None], seconds: float) -> None:
        """Do something for so long at most, and not when there is hurry."""
        waits = [asyncio.ensure_future(each) for each in (work, self.hurry.wait())]
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for each in waits:
            each.cancel()
        await asyncio.gather(*waits, return_exceptions=True)

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """Have SIGTERM and Ctrl-C ask for it."""
        loop = asyncio.get_running_loop()

        def asked(*_: object) -> None:
            loop.call_soon_threadsafe(self.ask)

        before = {each: signal.signal(each, asked) for each in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)
