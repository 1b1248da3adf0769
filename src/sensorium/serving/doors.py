"""Serving through one door, until it is time to leave. Each is loaded when it is opened."""

import asyncio
import logging
import socket
from collections.abc import Callable
from contextlib import AsyncExitStack
from importlib import import_module
from typing import Any

from msgspec.structs import replace

from sensorium.app import App
from sensorium.core.loading import load
from sensorium.serving.stop import Stop

log = logging.getLogger("sensorium.serving")
HTTP = "sensorium.transports.http"


async def serve_http(
    app: App, stop: Stop, sock: socket.socket, listening: Callable[[str], None]
) -> None:
    """Serve HTTP, and the doors that share its port; `listening` is told the address."""
    http = app.settings.http
    server = import_module(f"{HTTP}.server")

    def opened() -> None:
        app.readiness.doors["http"] = "ready"
        app.readiness.ports["http"] = sock.getsockname()[1]
        listening(server.address(http, sock))

    async with AsyncExitStack() as mounts:
        door = load(f"{HTTP}.wiring:build")(
            app.dispatcher,
            http,
            app.telemetry,
            mounted(app, mounts),
            model_file=lambda *asked: app.model_runtime.shelves.resolve_file(*asked),
            max_body_bytes=app.settings.control.max_body_bytes,
        )
        await server.serve(
            door,
            http,
            sock,
            on_listening=opened,
            leaving=stop.leaving,
            hurry=stop.hurry,
        )


async def serve_grpc(app: App, stop: Stop, opened: asyncio.Event, *, shared: bool) -> None:
    """Serve gRPC. Sets `opened` once it is up, or has failed.

    A server that takes no more calls is replaced, and its last ones may finish.
    """
    leaving = stop.leaving
    http, settings, doors = app.settings.http, app.settings.grpc, app.readiness.doors
    doors["grpc"] = "starting"
    certificate = (http.tls_certificate, http.tls_key)
    finishing: list[asyncio.Task[None]] = []
    try:
        start = await asyncio.to_thread(load, "sensorium.transports.grpc.server:start")
        while not leaving.is_set():
            server = await start(app.dispatcher, settings, http.host, certificate, shared=shared)
            doors["grpc"] = "ready"
            app.readiness.ports["grpc"] = server.port
            log.info("gRPC is served on port %d", server.port)
            opened.set()
            await server.accept(leaving)
            finishing.append(asyncio.create_task(server.finish(leaving, http.drain_s)))
            doors["grpc"] = "starting again"
            app.readiness.ports.pop("grpc")
            settings = replace(settings, grpc_port=server.port)
    finally:
        opened.set()
        await asyncio.gather(*finishing)


async def serve_webrtc(app: App, stop: Stop) -> None:
    """Take offers, which come in through the other doors, and let calls finish in the end."""
    app.webrtc.serve()
    app.readiness.doors["webrtc"] = "ready"
    await stop.leaving.wait()
    await stop.patiently(app.webrtc.finish(), app.settings.http.drain_s)
    await app.webrtc.close()


async def serve_native(app: App, stop: Stop) -> None:
    """Serve the browser that started us; when it leaves, so do we."""
    module = "sensorium.transports.native"
    streams = load(f"{module}:take_standard_streams")()
    await asyncio.to_thread(app.registry.find_plugins)
    app.readiness.doors["native"] = "ready"
    door = load(f"{module}:NativeDoor")(app.dispatcher, *streams)
    serving = asyncio.create_task(door.serve())
    leaving = asyncio.create_task(stop.leaving.wait())
    try:
        await asyncio.wait([serving, leaving], return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            serving.result()
        else:
            await stop.patiently(door.finish(), app.settings.http.drain_s)
            await door.close()
    finally:
        stop.leaving.set()
        for each in (serving, leaving):
            each.cancel()
        await asyncio.gather(serving, leaving, return_exceptions=True)


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
