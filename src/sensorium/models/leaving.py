"""Models on their way out: each is closed after the last call that uses it."""

import asyncio
from contextlib import suppress

from sensorium.core.errors import SensoriumError
from sensorium.models.loaded import Loaded


class Leaving:
    """The models that take no more calls and are not closed yet."""

    def __init__(self) -> None:
        self.models: set[Loaded] = set()
        self._closing: set[asyncio.Task[None]] = set()

    def add(self, loaded: Loaded) -> None:
        """Have a model leave: now if nobody uses it, or else when it is added again."""
        loaded.retired = True
        self.models.add(loaded)
        if not loaded.users:
            task = asyncio.create_task(self._close(loaded))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    async def settled(self) -> None:
        """Return when those that nobody uses are closed."""
        if self._closing:
            await asyncio.wait(set(self._closing))

    async def _close(self, loaded: Loaded) -> None:
        try:
            with suppress(SensoriumError):
                await loaded.placed.close()
        finally:
            self.models.discard(loaded)
