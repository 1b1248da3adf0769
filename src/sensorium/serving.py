"""A wired server, opened: HTTP and the doors that share its port, and gRPC beside it."""

import asyncio
import gc
import logging
from collections.abc import Callable
from contextlib import AsyncExitStack
from importlib import import_module
from typing import Any

from msgspec.structs import replace

from sensorium.app import App, Settings
from sensorium.core.errors import SensoriumError
from sensorium.core.loading import load

log = logging.getLogger("sensorium.serving")
HEAD_START_S = 0.05
"""What the first answers get before the workers' own start takes the cores from them. A call that
wants a worker does not wait for it."""


async def serve(
    settings: Settings,
    *,
    doors: frozenset[str] = frozenset(["http"]),
    warm: bool,
    on_listening: Callable[[str, App], None],
) -> None:
    """Serve until a signal says to stop: HTTP, and the other `doors` once it listens.

    `on_listening` is told the address when calls can come in. The workers start a moment later,
    so that they do not slow the start; with `warm`, they and what they load come before. A door
    that cannot be opened says so in `system.ready`, and the others serve.

    Raises:
        SensoriumError: it cannot be served like that; says what to change.
    """
    app = App(settings)
    http = settings.http
    server = import_module("sensorium.transports.http.server")
    build = load("sensorium.transports.http.wiring:build")
    with server.listen(http) as sock:
        async with app.running(), AsyncExitStack() as opened:
            door = build(app.dispatcher, http, app.telemetry, mounted(app, opened))
            if "webrtc" in doors:
                serve_webrtc(app)
            if warm:
                await app.warm()
            loop = asyncio.get_running_loop()
            leaving = asyncio.Event()

            def listening() -> None:
                app.readiness.doors["http"] = "ready"
                on_listening(server.address(http, sock), app)
                loop.call_later(HEAD_START_S, settle)

            def settle() -> None:
                app.start_workers()
                loop.run_in_executor(None, app.registry.find_plugins)
                # What is there now stays: looking through it again and again for garbage would
                # hold the loop for 10 ms each time.
                gc.freeze()
                if "grpc" in doors:
                    serving = asyncio.create_task(serve_grpc(app, leaving))
                    opened.push_async_callback(_left, leaving, serving)

            def draining() -> None:  # called by a signal
                app.readiness.draining = True
                loop.call_soon_threadsafe(leaving.set)

            await server.serve(door, http, sock, on_listening=listening, on_draining=draining)


def mounted(app: App, opened: AsyncExitStack) -> dict[str, Any]:
    """The doors that share HTTP's port, by path; what they keep open is closed with `opened`."""
    websocket = load("sensorium.transports.websocket:WebSocketDoor")
    mcp = load("sensorium.transports.mcp.late:McpDoor")
    settings = app.settings
    most = settings.control.max_inline_bytes
    tools = settings.mcp.mcp_operations
    return {
        "/v1/ws": websocket(app.dispatcher),
        "/mcp": mcp(app.dispatcher, tools, most, opened),
    }


async def serve_grpc(app: App, leaving: asyncio.Event) -> None:
    """Serve gRPC beside another door until `leaving` is set; a server that fails is replaced."""
    http, settings, doors = app.settings.http, app.settings.grpc, app.readiness.doors
    doors["grpc"] = "starting"
    certificate = (http.tls_certificate, http.tls_key)
    try:
        start = await asyncio.to_thread(load, "sensorium.transports.grpc.server:start")
        while not leaving.is_set():
            server = await start(app.dispatcher, settings, http.host, certificate)
            doors["grpc"] = f"ready on port {server.port}"
            log.info("gRPC is served on port %d", server.port)
            if await server.serve(leaving, http.drain_s):
                return
            doors["grpc"] = "starting again"
            settings = replace(settings, grpc_port=server.port)
    except SensoriumError as error:
        doors["grpc"] = error.message
        log.error("gRPC is not served: %s", error.message)


def serve_webrtc(app: App) -> None:
    """Take offers, which come in through the other doors."""
    try:
        app.webrtc.serve()
        app.readiness.doors["webrtc"] = "ready"
    except SensoriumError as error:
        app.readiness.doors["webrtc"] = error.message
        log.error("WebRTC is not served: %s", error.message)


async def _left(leaving: asyncio.Event, serving: "asyncio.Task[None]") -> None:
    leaving.set()
    await asyncio.wait([serving])
