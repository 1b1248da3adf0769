"""Memory for models: how much they hold, and which are unloaded for others."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sensorium.core.errors import NotSupportedError, OverloadedError
from sensorium.models.leaving import Leaving
from sensorium.models.loaded import Loaded

log = logging.getLogger("sensorium.models")
Models = Callable[[], list[Loaded]]
Retire = Callable[[Loaded], None]


class Room:
    """The main memory that models may hold.

    `models` are those that take calls, and `retire` ends that; they are then among those leaving.
    """

    def __init__(self, models: Models, leaving: Leaving, retire: Retire) -> None:
        self.budget_bytes = 0
        self._models = models
        self._leaving = leaving
        self._retire = retire
        self._reserved = 0

    @property
    def used_bytes(self) -> int:
        """What models are reckoned to hold, those that are being loaded among them."""
        return self._reserved + sum(each.main_bytes for each in self._held)

    @property
    def _bound_bytes(self) -> int:
        """How many of those no eviction would free."""
        return self._reserved + sum(each.main_bytes for each in self._held if each.users)

    @property
    def _held(self) -> set[Loaded]:
        return {*self._models(), *self._leaving.models}

    @contextmanager
    def reserved(self, size: int) -> Iterator[None]:
        """Count so many bytes as held, as a model does that is being loaded."""
        self._reserved += size
        try:
            yield
        finally:
            self._reserved -= size

    async def make(self, wanted: int, name: str) -> None:
        """Evict idle models until so many bytes fit; or none, where that would not be enough.

        Raises:
            NotSupportedError: they can never fit.
            OverloadedError: the models that are in use leave too little.
        """
        if wanted > self.budget_bytes:
            raise NotSupportedError(
                f"{name} needs {wanted >> 20} MiB, and this server's models may have "
                f"{self.budget_bytes >> 20} MiB: name a smaller one, or start the server with a "
                "higher --model-memory-bytes"
            )
        if self._bound_bytes + wanted > self.budget_bytes:
            raise self._too_little(wanted, name)
        while self.used_bytes + wanted > self.budget_bytes and (idle := self._idle()):
            log.info("%s is unloaded to make room for %s", idle[0].artifact.name, name)
            await self._evict(idle[0])
        if self.used_bytes + wanted > self.budget_bytes:
            raise self._too_little(wanted, name)

    @property
    def idle_bytes(self) -> int:
        """What `give_up` could free."""
        return sum(each.main_bytes for each in self._idle())

    async def give_up(self, size: int) -> None:
        """Evict idle models, the longest unused first, until so many bytes are free again."""
        wanted = self.used_bytes - size
        while self.used_bytes > wanted and (idle := self._idle()):
            await self._evict(idle[0])

    async def _evict(self, loaded: Loaded) -> None:
        self._retire(loaded)
        await self._leaving.settled()

    def _idle(self) -> list[Loaded]:
        """The models that hold memory and that nobody uses, the longest unused first.

        Those that are to stay for ever come last of all.
        """
        idle = (each for each in self._models() if each.main_bytes and not each.users)
        return sorted(idle, key=lambda each: (each.keep_alive_s < 0, each.used_at))

    def _too_little(self, wanted: int, name: str) -> OverloadedError:
        return OverloadedError(
            f"{name} needs {wanted >> 20} MiB, and the models may have "
            f"{self.budget_bytes >> 20} MiB of which {self._bound_bytes >> 20} are in use",
            retry_after_s=1.0,
        )
