"""The loaded models: loaded when first wanted, kept while they are used, evicted when idle."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from contextvars import Context
from pathlib import Path
from typing import Any

from sensorium.core.errors import NotFoundError, OverloadedError
from sensorium.models.artifact import LATEST, SEPARATOR, Artifact
from sensorium.models.backends.base import LoadOptions
from sensorium.models.leaving import Leaving
from sensorium.models.loaded import Loaded, Loading
from sensorium.models.names import Key, Names, folder_of, is_version_of
from sensorium.models.placement.base import Placed
from sensorium.models.preferences import Preferences
from sensorium.models.room import Room

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
        self.keep_alive_s = keep_alive_s
        self.aliases: dict[str, str] = {}
        """Other names of models: alias to name."""
        self._budget = budget
        self._find = find
        self._place = place
        self._weigh = weigh
        self._loaded: dict[Key, Loaded] = {}
        self._loading: dict[Key, Loading] = {}
        self._names = Names()
        self._preferences = Preferences()
        self._leaving = Leaving()
        self.room = Room(lambda: self.loaded, self._leaving, self.retire)
        self._sweeping: asyncio.Task[None] | None = None

    @property
    def loaded(self) -> list[Loaded]:
        """The models that take calls."""
        return list(self._loaded.values())

    def find(self, name: str, version: str) -> Loaded | None:
        """A model that takes calls, by its folder's name and its version."""
        return self._loaded.get((name, version))

    def alias(self, alias: str, name: str) -> None:
        """Have a model answer under another name, too, from now on.

        Raises:
            OverloadedError: there are as many other names as there may be.
        """
        if alias not in self.aliases and len(self.aliases) >= MAX_ALIASES:
            raise OverloadedError(f"there may be {MAX_ALIASES} aliases")
        self.aliases[alias] = name
        self._names.drop_name(alias)

    def named(self, name: str) -> str:
        """The name of a model that may be asked for by an alias, with or without `:latest`."""
        return self.aliases.get(name) or self.aliases.get(name.removesuffix(f":{LATEST}"), name)

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
        the old one, which is closed after its last call. Without options it is loaded as it was
        the last time. Errors as for `use`.
        """
        while True:
            artifact = await self._found(name, version)
            key = (artifact.name, artifact.version)
            wanted = options or self._preferences.of(artifact).options or LoadOptions()
            loading, there = self._loading.get(key), self._loaded.get(key)
            suits = there is not None and not fresh and options in (None, there.options)
            if there is not None and suits and (loading is None or options is None):
                break
            if loading is not None and not loading.serves(artifact, wanted):
                await asyncio.wait([loading.task])  # who asked for it hears why it failed
                continue
            there = await asyncio.shield((loading or self._begin(key, artifact, wanted)).task)
            fresh = False
            # Another version may have come while this one was loaded.
            if version or (await self._found(name, version)).version == key[1]:
                break
        self._settle(name, version, there, keep_alive_s)
        return there

    async def unload(self, name: str, version: str = "") -> None:
        """Let go of a model, by its own name, its folder's, or one that it was asked for by.

        It goes at once, or after the calls that use it.

        Raises:
            NotFoundError: it is not loaded.
        """
        meant = self.named(name)
        wanted, asked = meant.replace("/", SEPARATOR), self._names.meant_by(name, meant)
        found = [
            each
            for key, each in self._loaded.items()
            if (key in asked or wanted in (key[0], folder_of(key))) and version in ("", key[1])
        ]
        if not found:
            raise NotFoundError(f"the model {name[:80]} is not loaded")
        for each in found:
            self.retire(each)
        await self._leaving.settled()

    async def forget(self, gone: Path) -> None:
        """Let go of the models whose files were at a path or below it, and of their other names.

        One that is being loaded is closed as soon as it is there.
        """
        names = {gone.name}
        for loading in self._loading.values():
            loading.deleted |= loading.artifact.lies_in(gone)
        for each in self.loaded:
            if each.artifact.lies_in(gone):
                names.add(each.artifact.name)
                self.retire(each)
        self._preferences.forget(gone)
        self.aliases = {alias: of for alias, of in self.aliases.items() if of not in names}
        await self._leaving.settled()

    def known(self, name: str, version: str) -> Loaded | None:
        """The model that a call would get that says so, if it is loaded."""
        key = self._names.find(name, version)
        return None if key is None else self._loaded.get(key)

    def leave(self, loaded: Loaded) -> None:
        """A call that used a model has ended."""
        loaded.users -= 1
        loaded.used_at = time.monotonic()
        if not loaded.users and (loaded.retired or loaded.keep_alive_s == 0):
            self.retire(loaded)

    async def _sweep(self) -> None:
        """Unload what nobody has used for as long as it is kept, for ever."""
        while True:
            await asyncio.sleep(SWEEP_S)
            for each in self.loaded:
                if each.expires_in_s == 0.0:
                    log.info("%s is unloaded: idle", each.artifact.name)
                    self.retire(each)

    async def close(self) -> None:
        """Unload everything; calls that still run lose their model."""
        tasks: list[asyncio.Task[Any]] = [each.task for each in self._loading.values()]
        if self._sweeping is not None:
            tasks.append(self._sweeping)
            self._sweeping = None
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for each in self.loaded:
            each.users = 0
            self.retire(each)
        await self._leaving.settled()

    async def _found(self, name: str, version: str) -> Artifact:
        """What lies on the disk. Whoever waits for a digest holds no thread meanwhile."""
        found = await asyncio.to_thread(self._find, self.named(name), version)
        return await asyncio.wrap_future(found) if isinstance(found, Future) else found

    def _begin(self, key: Key, artifact: Artifact, options: LoadOptions) -> Loading:
        task = asyncio.create_task(self._load(key))
        task.add_done_callback(lambda _: self._loading.pop(key, None))
        loading = self._loading[key] = Loading(task, artifact, options)
        return loading

    async def _load(self, key: Key) -> Loaded:
        """Load beside what is there, then take its place."""
        loading = self._loading[key]
        artifact, options = loading.artifact, loading.options
        if self._sweeping is None:
            self._sweeping = asyncio.create_task(self._sweep(), context=Context())
        if not self.room.budget_bytes:
            self.room.budget_bytes = await asyncio.to_thread(self._budget)
        wanted = await asyncio.to_thread(self._weigh, artifact, options)
        await self.room.make(wanted, artifact.name)
        with self.room.reserved(wanted):
            placed = await self._place(artifact, options)
        if loading.deleted:
            await placed.close()
            raise NotFoundError(f"the model {artifact.name} was deleted while it was loaded")
        self._preferences.note(artifact, options=options)
        kept_s = self._preferences.of(artifact).keep_alive_s
        loaded = Loaded(artifact, options, placed, self.keep_alive_s if kept_s is None else kept_s)
        loaded.memory_bytes = wanted
        before = self._loaded.get(key)
        if before is not None:
            self.retire(before)
        self._loaded[key] = loaded
        log.info("%s is loaded", artifact.name, extra={"seconds": placed.facts.seconds})
        return loaded

    def _settle(self, name: str, version: str, loaded: Loaded, keep_alive_s: float | None) -> None:
        """Have a model stay as long as was asked, and be what is meant by a name from now on."""
        if keep_alive_s is not None:
            loaded.keep_alive_s = keep_alive_s
            self._preferences.note(loaded.artifact, keep_alive_s=keep_alive_s)
        if loaded.retired:
            return
        key = (loaded.artifact.name, loaded.artifact.version)
        self._names.learn(name, version, key)
        if version:
            return
        for other, each in list(self._loaded.items()):
            if is_version_of(other, key) and not self._names.numbered(other):
                log.info("%s is unloaded: there is version %s", each.label, key[1])
                self.retire(each)

    def retire(self, loaded: Loaded) -> None:
        """Give a model no more calls, and close it when it has none; the next loads it afresh."""
        key = (loaded.artifact.name, loaded.artifact.version)
        if self._loaded.get(key) is loaded:
            del self._loaded[key]
            self._names.drop(key)
        self._leaving.add(loaded)
