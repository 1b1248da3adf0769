"""Opening the doors of a server, and what has to be done around them."""

import asyncio
import gc
import logging
import socket
from collections.abc import Awaitable, Callable
from contextlib import ExitStack, suppress
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from sensorium.app import App, Settings
from sensorium.core.errors import SensoriumError
from sensorium.core.loading import load
from sensorium.serving.doors import HTTP, serve_grpc, serve_http, serve_native, serve_webrtc
from sensorium.serving.stop import Stop

log = logging.getLogger("sensorium.serving")
HEAD_START_S = 0.05
"""What the first answers get before the workers' own start takes the cores from them. A call that
wants a worker does not wait for it."""
TAKEN_OVER_S = 10.0
"""The longest that the doors of a replacing server may take to open."""
GUESTS = {"webrtc"}
"""Doors that are reached through the others."""


async def serve(
    settings: Settings,
    *,
    doors: frozenset[str] = frozenset(["http"]),
    warm: bool,
    take_over: bool = False,
    on_listening: Callable[[str | None, App], None],
) -> None:
    """Serve through the `doors` until a signal says to stop, or, with `native`, the browser.

    `on_listening` is told HTTP's address, or None without HTTP, when calls can come in. The
    workers and the other doors start a moment later, so that they do not slow the start; with
    `warm`, the workers and what they load come before. A door that cannot be opened says so in
    `system.ready`, and the others serve. `take_over` replaces a server that runs at that port.

    Raises:
        SensoriumError: no door can be opened; says what to change.
    """
    with ExitStack() as held:
        serving = Serving(App(settings), doors, held)
        if "http" in doors:
            serving.listen(take_over=take_over)
        async with serving.app.running():
            if warm:
                await serving.app.warm()
            with serving.stop.on_signals():
                await serving.serve(on_listening)


class Serving:
    """The doors of a server. What is held open until its end goes into `held`."""

    def __init__(self, app: App, doors: frozenset[str], held: ExitStack) -> None:
        self.app = app
        app.registry.awaits_plugins = True
        self.stop = Stop()
        self._doors = doors
        self._held = held
        self._sock: socket.socket | None = None
        self._taken: Any = None
        self._failures: list[SensoriumError] = []
        self._alive: set[str] = set()
        self._listening = asyncio.Event()
        self._opened = asyncio.Event()
        """Every door is open, or has failed."""

    def listen(self, *, take_over: bool) -> None:
        """Have HTTP's socket: a new one, or the one of the server that is replaced."""
        http, path = self.app.settings.http, self._meeting_place
        if take_over and path is not None:
            self._taken = load(f"{HTTP}.handover:take")(path)
        try:
            if self._taken is not None:
                self._sock = self._held.enter_context(self._taken)
            else:
                listen = import_module(f"{HTTP}.server").listen
                self._sock = self._held.enter_context(listen(http))
        except SensoriumError as error:
            self._failed("http", error)

    async def serve(self, on_listening: Callable[[str | None, App], None]) -> None:
        """Serve through every door until all have ended.

        Raises:
            SensoriumError: none could be opened.
        """
        servers = self._servers(on_listening)
        self._alive = set(servers) - GUESTS
        if not self._alive:
            raise self._failures[0]
        if "http" not in servers:
            on_listening(None, self.app)
            self._listening.set()
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
            await asyncio.gather(*helpers, return_exceptions=True)
        if not self._alive:
            raise self._failures[0]

    def _servers(
        self, on_listening: Callable[[str | None, App], None]
    ) -> dict[str, Callable[[], Awaitable[None]]]:
        """What serves each door."""
        found: dict[str, Callable[[], Awaitable[None]]] = {}

        def listening(address: str) -> None:
            on_listening(address, self.app)
            self._listening.set()

        if "webrtc" in self._doors:
            found["webrtc"] = partial(serve_webrtc, self.app, self.stop)
        if self._sock is not None:
            found["http"] = partial(serve_http, self.app, self.stop, self._sock, listening)
        if "grpc" in self._doors:
            found["grpc"] = self._serve_grpc
        if "native" in self._doors:
            found["native"] = partial(serve_native, self.app, self.stop)
        return found

    async def _guarded(self, name: str, serve: Callable[[], Awaitable[None]]) -> None:
        """Serve one door; where it was the last that lived, the server ends."""
        try:
            await serve()
        except Exception as error:
            if not isinstance(error, SensoriumError):
                log.exception("the door failed")
            known = error if isinstance(error, SensoriumError) else SensoriumError()
            self._failed(name, known)
            self._alive.discard(name)
            if not self._alive:
                self.stop.leaving.set()

    async def _serve_grpc(self) -> None:
        await self._listening.wait()
        await asyncio.sleep(HEAD_START_S)
        await serve_grpc(self.app, self.stop, self._opened, shared=self._taken is not None)

    async def _settle(self) -> None:
        """What is done once calls can come in: start what they need, and take over, or offer to."""
        await self._listening.wait()
        await asyncio.sleep(HEAD_START_S)
        app = self.app
        app.start_workers()
        await asyncio.to_thread(app.registry.find_plugins)
        # What is there now stays: looking through it again and again for garbage would hold the
        # loop for 10 ms each time.
        gc.freeze()
        if self._taken is not None:
            if "grpc" in self._doors:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._opened.wait(), TAKEN_OVER_S)
            await asyncio.to_thread(self._taken.release)
        self._offer()

    def _offer(self) -> None:
        """Let a server that comes after us have the socket."""
        if self._sock is None or self._meeting_place is None:
            return
        loop = asyncio.get_running_loop()

        def taken() -> None:
            import_module(f"{HTTP}.server").linger()
            loop.call_soon_threadsafe(self.stop.leaving.set)

        try:
            offer = load(f"{HTTP}.handover:Offer")(self._meeting_place, self._sock, taken)
            self._held.enter_context(offer)
        except OSError as error:
            log.info("this server cannot be replaced while it runs: %s", error.strerror or error)

    async def _drain(self) -> None:
        await self.stop.leaving.wait()
        self.app.readiness.draining = True

    async def _hurry(self, tasks: "dict[str, asyncio.Task[None]]") -> None:
        await self.stop.hurry.wait()
        for name, task in tasks.items():
            if name != "http":  # which answers what it cannot finish
                task.cancel()

    def _failed(self, name: str, error: SensoriumError) -> None:
        self.app.readiness.doors[name] = error.message
        self._failures.append(error)
        log.error("%s is not served: %s", name, error.message)

    @property
    def _meeting_place(self) -> Path | None:
        """Where a server and the one that replaces it meet."""
        port = self.app.settings.http.port
        return self.app.settings.data_dir / "run" / f"{port}.sock" if port else None
