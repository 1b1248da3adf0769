"""Opening the doors of a server, and what has to be done around them."""

import asyncio
import gc
import logging
from collections.abc import Awaitable, Callable
from contextlib import ExitStack, suppress
from functools import partial

from sensorium.app import App, Settings
from sensorium.core.errors import SensoriumError, UnavailableError
from sensorium.serving.doors import serve_grpc, serve_http, serve_native, serve_webrtc
from sensorium.serving.stop import Stop
from sensorium.serving.takeover import Place

log = logging.getLogger("sensorium.serving")
HEAD_START_S = 0.05
"""What the first answers get before the workers' own start takes the cores from them. A call that
wants a worker does not wait for it."""
TAKEN_OVER_S = 10.0
"""The longest that the doors of a replacing server may take to open."""
GUESTS = {"webrtc"}
"""Doors that are reached through the others."""

Serve = Callable[[], Awaitable[None]]
OnListening = Callable[[str | None, App], None]


async def serve(
    settings: Settings,
    *,
    doors: frozenset[str] = frozenset(["http"]),
    warm: bool,
    take_over: bool = False,
    on_listening: OnListening,
) -> None:
    """Serve through the `doors` until a signal says to stop, or, with `native`, the browser.

    `on_listening` is told HTTP's address, or None without HTTP, when calls can come in. The
    workers and the other doors start a moment later, so that they do not slow the start; with
    `warm`, the workers and what they load come before. A door that cannot be opened because its
    port is taken or its library is missing says so in `system.ready`, and the others serve.
    `take_over` replaces a server that runs at HTTP's address.

    Raises:
        SensoriumError: no door can be opened, or the settings make no sense; says what to change.
    """
    with ExitStack() as held:
        place = Place(settings, held)
        serving = Serving(App(settings), doors, place, on_listening)
        if take_over and "http" not in doors:
            raise SensoriumError("--replace is for a server with HTTP: --mode http")
        if "http" in doors:
            serving.listen(take_over=take_over)
        async with serving.app.running():
            if place.is_taken:  # calls come in at once, also for what plugins bring
                await asyncio.to_thread(serving.app.registry.find_plugins)
            if warm:
                await serving.app.warm()
            with serving.stop.on_signals():
                await serving.serve()


class Serving:
    """The doors of a server, while they are open."""

    def __init__(
        self, app: App, doors: frozenset[str], place: Place, on_listening: OnListening
    ) -> None:
        self.app = app
        app.registry.awaits_plugins = True
        self.stop = Stop()
        self._doors = doors
        self._place = place
        self._on_listening = on_listening
        self._alive: set[str] = set()
        self._failures: list[SensoriumError] = []
        self._listening = asyncio.Event()
        self._grpc_opened = asyncio.Event()

    def listen(self, *, take_over: bool) -> None:
        """Have HTTP's socket: a new one, or the one of the server that is replaced."""
        try:
            if take_over:
                self._place.take()
            else:
                self._place.listen()
        except UnavailableError as error:
            if take_over:  # it was not to run beside the other
                raise
            self._failed("http", error)

    async def serve(self) -> None:
        """Serve through every door until all have ended.

        Raises:
            SensoriumError: none could be opened.
        """
        servers = self._servers()
        self._alive = set(servers) - GUESTS
        if not self._alive:
            raise self._failures[0]
        if "http" not in servers:
            self._listen(None)
        tasks = {
            name: asyncio.create_task(self._guarded(name, each)) for name, each in servers.items()
        }
        around = (self._settle(), self._drain(), self._hurry(tasks))
        helpers = [asyncio.create_task(each) for each in around]
        try:
            await asyncio.gather(*tasks.values(), return_exceptions=True)
        finally:
            for helper in helpers:
                helper.cancel()
            for ended in await asyncio.gather(*helpers, return_exceptions=True):
                if isinstance(ended, Exception):
                    log.error("the start was not completed", exc_info=ended)
        if not self._alive:
            raise self._failures[0]

    def _listen(self, address: str | None) -> None:
        """Say where calls come in; where that shows that none can be answered, all end."""
        try:
            self._on_listening(address, self.app)
        except SensoriumError as error:
            self._end(error)
        self._listening.set()

    def _servers(self) -> dict[str, Serve]:
        """What serves each door."""
        found: dict[str, Serve] = {}
        if "webrtc" in self._doors:
            found["webrtc"] = partial(serve_webrtc, self.app, self.stop)
        if self._place.sock is not None:
            found["http"] = partial(serve_http, self.app, self.stop, self._place.sock, self._listen)
        if "grpc" in self._doors:
            found["grpc"] = self._serve_grpc
        if "native" in self._doors:
            found["native"] = partial(serve_native, self.app, self.stop)
        return found

    async def _guarded(self, name: str, serve: Serve) -> None:
        """Serve one door. Where it was the last that lived, or the settings are to blame, all end.

        A door that fails while it is opened leaves the others; so that they do not wait for it,
        they are told that calls can come in.
        """
        try:
            await serve()
        except UnavailableError as error:
            self._failed(name, error)
            self._alive.discard(name)
            if not self._alive:
                self.stop.leaving.set()
            elif not self._listening.is_set():
                self._listen(None)
        except Exception as error:
            if not isinstance(error, SensoriumError):
                log.exception("the door failed")
            self._end(error if isinstance(error, SensoriumError) else _internal())
            self._listening.set()  # who waits for it is to see that the server leaves

    def _end(self, error: SensoriumError) -> None:
        """Have all doors end because of an error that is not of one of them."""
        self._failures.insert(0, error)
        self._alive.clear()
        self.stop.leaving.set()

    async def _started(self) -> bool:
        """Whether calls come in, a moment after they began to."""
        await self._listening.wait()
        await asyncio.sleep(HEAD_START_S)
        return not self.stop.leaving.is_set()

    async def _serve_grpc(self) -> None:
        if not await self._started():
            return
        port = self.app.settings.grpc.grpc_port
        shared = port == self._place.shared_grpc_port != 0
        await serve_grpc(self.app, self.stop, self._grpc_opened, shared=shared)

    async def _settle(self) -> None:
        """What is done once calls can come in: start what they need, and take over, or offer to."""
        if not await self._started():
            return
        app = self.app
        app.start_workers()
        await asyncio.to_thread(app.registry.find_plugins)
        # What is there now stays: looking through it again and again for garbage would hold the
        # loop for 10 ms each time.
        gc.freeze()
        if self._place.is_taken and "grpc" in self._doors:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._grpc_opened.wait(), TAKEN_OVER_S)
        await self._place.release()
        self._place.offer(self.stop, lambda: app.readiness.ports.get("grpc", 0))

    async def _drain(self) -> None:
        await self.stop.leaving.wait()
        self.app.readiness.draining = True

    async def _hurry(self, tasks: "dict[str, asyncio.Task[None]]") -> None:
        await self.stop.hurry.wait()
        if "grpc" in tasks:  # the others look for themselves
            tasks["grpc"].cancel()

    def _failed(self, name: str, error: SensoriumError) -> None:
        self.app.readiness.doors[name] = error.message
        if name not in GUESTS:
            self._failures.append(error)
        log.error("%s is not served: %s", name, error.message)


def _internal() -> SensoriumError:
    return SensoriumError("a door failed; the log has the details")
