"""The loaded models: loaded when first wanted, kept while they are used, evicted when idle."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import Any

from sensorium.core.errors import NotFoundError, NotSupportedError, OverloadedError
from sensorium.models.artifact import SEPARATOR, Artifact
from sensorium.models.backends.base import LoadOptions
from sensorium.models.leaving import Leaving
from sensorium.models.loaded import Loaded
from sensorium.models.placement.base import Placed

log = logging.getLogger("sensorium.models")
SWEEP_S = 1.0
MAX_ALIASES = 1000


Find = Callable[[str, str], Artifact | Future[Artifact]]
Place = Callable[[Artifact, LoadOptions], Awaitable[Placed]]
Weigh = Callable[[Artifact, LoadOptions], int]
Budget = Callable[[], int]


class _Use:
    """`Pool.use`. A plain class: it is entered for every call."""

    __slots__ = ("_loaded", "_name", "_pool", "_version")

    def __init__(self, pool: "Pool", name: str, version: str) -> None:
        self._pool = pool
        self._name = name
        self._version = version

    async def __aenter__(self) -> Loaded:
        loaded = self._pool.known(self._name, self._version)
        while loaded is None or loaded.retired:  # evicted before its first call could begin
            loaded = await self._pool.load(self._name, self._version)
        loaded.users += 1
        self._loaded = loaded
        return loaded

    async def __aexit__(self, *_: object) -> None:
        self._pool.leave(self._loaded)


class Pool:
    """Loads, keeps and unloads models. `find` reads the disk, `weigh` estimates bytes of memory,
    and `budget` tells how many all of them may hold.

    A model that is in use is never unloaded under it: it is retired, and closed after its last
    call. All of it runs on one event loop.
    """

    def __init__(
        self, find: Find, place: Place, weigh: Weigh, *, budget: Budget, keep_alive_s: float
    ) -> None:
        self.budget_bytes = 0
        self.keep_alive_s = keep_alive_s
        self.aliases: dict[str, str] = {}
        """Other names of models: alias to name."""
        self._budget = budget
        self._find = find
        self._place = place
        self._weigh = weigh
        self._loaded: dict[tuple[str, str], Loaded] = {}
        self._known: dict[tuple[str, str], tuple[str, str]] = {}
        """What a caller wrote, as the name and version of a model that is loaded."""
        self._loading: dict[tuple[str, str], tuple[asyncio.Task[Loaded], LoadOptions]] = {}
        self._reserved = 0
        self._leaving = Leaving()
        self._sweeping: asyncio.Task[None] | None = None

    @property
    def loaded(self) -> list[Loaded]:
        """The models that take calls."""
        return list(self._loaded.values())

    def find(self, name: str, version: str) -> Loaded | None:
        """A model that takes calls, by its folder's name and its version."""
        return self._loaded.get((name, version))

    @property
    def used_bytes(self) -> int:
        """Main memory that models are reckoned to hold, those that are being loaded among them."""
        return self._reserved + sum(each.main_bytes for each in self._held)

    @property
    def _bound_bytes(self) -> int:
        """How many of those no eviction would free."""
        return self._reserved + sum(each.main_bytes for each in self._held if each.users)

    @property
    def _held(self) -> set[Loaded]:
        return {*self._loaded.values(), *self._leaving.models}

    def alias(self, alias: str, name: str) -> None:
        """Have a model answer under another name, too, from now on.

        Raises:
            OverloadedError: there are as many other names as there may be.
        """
        if alias not in self.aliases and len(self.aliases) >= MAX_ALIASES:
            raise OverloadedError(f"there may be {MAX_ALIASES} aliases")
        self.aliases[alias] = name
        self._known = {asked: key for asked, key in self._known.items() if asked[0] != alias}

    def use(self, name: str, version: str = "") -> "_Use":
        """A model for one call, loaded first if need be; it stays until the call has ended.

        Raises:
            NotFoundError: there is no such model.
            NotSupportedError: there is never memory enough for it.
            OverloadedError: there is no memory for it now.
            SensoriumError: it cannot be loaded.
        """
        return _Use(self, name, version)

    async def load(
        self,
        name: str,
        version: str = "",
        *,
        options: LoadOptions | None = None,
        keep_alive_s: float | None = None,
        fresh: bool = False,
    ) -> Loaded:
        """Have a model loaded; who asks for one that is being loaded waits for the same.

        With other `options` than it has, or `fresh`, a new one is loaded and takes the place of
        the old one, which is closed after its last call. Errors as for `use`.
        """
        artifact = await self._found(name, version)
        key = (artifact.name, artifact.version)
        running = self._loading.get(key)
        if running is not None:
            task, its_options = running
            if its_options == (options or LoadOptions()):  # who waits for it hears why it failed
                await asyncio.shield(task)
                fresh = False
            else:
                await asyncio.wait([task])
        there = self._loaded.get(key)
        changed = there is not None and options is not None and options != there.options
        if there is None or changed or fresh:
            there = await self._load_once(key, artifact, options or LoadOptions())
        self._known[name, version] = key
        if keep_alive_s is not None:
            there.keep_alive_s = keep_alive_s
        return there

    async def unload(self, name: str, version: str = "") -> None:
        """Let go of a model: at once, or after the calls that use it.

        Raises:
            NotFoundError: it is not loaded.
        """
        wanted = self.aliases.get(name, name).replace("/", SEPARATOR)
        found = [
            each
            for (known, number), each in self._loaded.items()
            if wanted in (known, known.partition(":")[0]) and version in ("", number)
        ]
        if not found:
            raise NotFoundError(f"the model {name[:80]} is not loaded")
        for each in found:
            self._retire(each)
        await self._leaving.settled()

    async def forget(self, name: str) -> None:
        """Let go of a model whose files are gone: all its versions, variants and other names."""
        wanted = name.replace("/", SEPARATOR)
        for each in self.loaded:
            if wanted in (each.artifact.name, each.artifact.name.partition(":")[0]):
                self._retire(each)
        self.aliases = {alias: of for alias, of in self.aliases.items() if of != wanted}
        await self._leaving.settled()

    def known(self, name: str, version: str) -> Loaded | None:
        """The model that a call would get that says so, if it is loaded."""
        key = self._known.get((name, version))
        return None if key is None else self._loaded.get(key)

    def leave(self, loaded: Loaded) -> None:
        """A call that used a model has ended."""
        loaded.users -= 1
        loaded.used_at = time.monotonic()
        if not loaded.users and (loaded.retired or loaded.keep_alive_s == 0):
            self._retire(loaded)

    async def _sweep(self) -> None:
        """Unload what nobody has used for as long as it is kept, for ever."""
        while True:
            await asyncio.sleep(SWEEP_S)
            for each in self.loaded:
                if each.expires_in_s == 0.0:
                    log.info("%s is unloaded: idle", each.artifact.name)
                    self._retire(each)

    @property
    def idle_bytes(self) -> int:
        """What `give_up` could free."""
        return sum(each.main_bytes for each in self._idle())

    async def give_up(self, size: int) -> None:
        """Unload idle models, the longest unused first, until so many bytes are free again."""
        wanted = self.used_bytes - size
        while self.used_bytes > wanted and (idle := self._idle()):
            self._retire(idle[0])
            await self._leaving.settled()

    async def close(self) -> None:
        """Unload everything; calls that still run lose their model."""
        tasks: list[asyncio.Task[Any]] = [task for task, _ in self._loading.values()]
        if self._sweeping is not None:
            tasks.append(self._sweeping)
            self._sweeping = None
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for each in self.loaded:
            each.users = 0
            self._retire(each)
        await self._leaving.settled()

    async def _found(self, name: str, version: str) -> Artifact:
        """What lies on the disk. Whoever waits for a digest holds no thread meanwhile."""
        found = await asyncio.to_thread(self._find, self.aliases.get(name, name), version)
        return await asyncio.wrap_future(found) if isinstance(found, Future) else found

    async def _load_once(
        self, key: tuple[str, str], artifact: Artifact, options: LoadOptions
    ) -> Loaded:
        running = self._loading.get(key)
        if running is None:
            task = asyncio.create_task(self._load(key, artifact, options))
            running = self._loading[key] = task, options
            task.add_done_callback(lambda _: self._loading.pop(key, None))
        return await asyncio.shield(running[0])

    async def _load(self, key: tuple[str, str], artifact: Artifact, options: LoadOptions) -> Loaded:
        """Load beside what is there, then take its place."""
        if self._sweeping is None:
            self._sweeping = asyncio.create_task(self._sweep())
        if not self.budget_bytes:
            self.budget_bytes = await asyncio.to_thread(self._budget)
        wanted = await asyncio.to_thread(self._weigh, artifact, options)
        await self._make_room(wanted, artifact.name)
        self._reserved += wanted
        try:
            placed = await self._place(artifact, options)
        finally:
            self._reserved -= wanted
        loaded = Loaded(artifact, options, placed, self.keep_alive_s)
        loaded.memory_bytes = wanted
        before = self._loaded.get(key)
        if before is not None:
            loaded.keep_alive_s = before.keep_alive_s
            self._retire(before)
        self._loaded[key] = loaded
        log.info("%s is loaded", artifact.name, extra={"seconds": placed.facts.seconds})
        return loaded

    async def _make_room(self, wanted: int, name: str) -> None:
        """Evict idle models, the longest unused first, until so many bytes fit; or none at all.

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
            raise self._no_room(wanted, name)
        while self.used_bytes + wanted > self.budget_bytes and (idle := self._idle()):
            log.info("%s is unloaded to make room for %s", idle[0].artifact.name, name)
            self._retire(idle[0])
            await self._leaving.settled()
        if self.used_bytes + wanted > self.budget_bytes:
            raise self._no_room(wanted, name)

    def _no_room(self, wanted: int, name: str) -> OverloadedError:
        return OverloadedError(
            f"{name} needs {wanted >> 20} MiB, and the models may have "
            f"{self.budget_bytes >> 20} MiB of which {self._bound_bytes >> 20} are in use",
            retry_after_s=1.0,
        )

    def _idle(self) -> list[Loaded]:
        """The models that hold memory and that nobody uses, the longest unused first."""
        idle = (each for each in self.loaded if each.main_bytes and not each.users)
        return sorted(idle, key=lambda each: each.used_at)

    def _retire(self, loaded: Loaded) -> None:
        """Give a model no more calls, and close it when it has none."""
        key = (loaded.artifact.name, loaded.artifact.version)
        if self._loaded.get(key) is loaded:
            del self._loaded[key]
            self._known = {asked: known for asked, known in self._known.items() if known != key}
        self._leaving.add(loaded)
