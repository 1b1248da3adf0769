"""The wish that a server ends, from a signal or from whoever started it."""

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager


class Stop:
    """The wish that the server ends: first to let what runs finish, then not to wait for it."""

    def __init__(self) -> None:
        self.leaving = asyncio.Event()
        self.hurry = asyncio.Event()

    def ask(self) -> None:
        """Ask for it; the second time is in earnest."""
        (self.hurry if self.leaving.is_set() else self.leaving).set()

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
