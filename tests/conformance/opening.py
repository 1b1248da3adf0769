"""Doors over any dispatcher, opened in this very loop, with a fault in them or none."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

import grpc
import uvicorn

from sensorium.app import App
from sensorium.core.dispatch import Dispatcher
from sensorium.transports.grpc.door import GrpcDoor
from sensorium.transports.http.settings import HttpSettings
from sensorium.transports.http.wiring import build
from sensorium.transports.mcp.late import McpDoor
from sensorium.transports.native import NativeDoor
from sensorium.transports.webrtc.sessions import Sessions
from sensorium.transports.webrtc.settings import WebRtcSettings
from sensorium.transports.websocket import WebSocketDoor
from tests.conformance.broken_doors import Fault, FaultyAsgi, FaultyGrpc, FaultyPeer, FaultyPipe
from tests.conformance.driver import Driver
from tests.conformance.drivers import DispatcherDriver, _ServerDriver
from tests.conformance.grpc_driver import GrpcDriver
from tests.conformance.native_driver import NativeDriver
from tests.conformance.webrtc_driver import WebRtcDriver


@asynccontextmanager
async def opened_here(
    app: App, door: type[Driver], dispatcher: Dispatcher, fault: Fault
) -> AsyncIterator[Driver]:
    """A driver of a door over `dispatcher`, which is `app`'s or stands in front of it."""
    if issubclass(door, DispatcherDriver):
        yield door(app, dispatcher)
        return
    async with AsyncExitStack() as stack:
        driver: Driver
        if issubclass(door, NativeDriver):
            driver = await stack.enter_async_context(_native(dispatcher, fault))
        elif issubclass(door, GrpcDriver):
            url = await stack.enter_async_context(_http(app, dispatcher, Fault()))
            port = await stack.enter_async_context(_grpc(dispatcher, fault))
            driver = door(url, os.getpid(), port, app.registry)
            stack.push_async_callback(driver.close)
        elif issubclass(door, WebRtcDriver):
            sessions = app.dispatcher.parts[Sessions] = Sessions(dispatcher, WebRtcSettings())
            sessions.serve()
            stack.push_async_callback(sessions.close)
            url = await stack.enter_async_context(_http(app, app.dispatcher, Fault()))
            driver = door(url, os.getpid())
            driver.peer = partial(FaultyPeer, fault)
            stack.push_async_callback(driver.close)
        else:
            assert issubclass(door, _ServerDriver)
            url = await stack.enter_async_context(_http(app, dispatcher, fault))
            driver = door(url, os.getpid())
            stack.push_async_callback(driver.close)
        yield driver


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()


@asynccontextmanager
async def _http(app: App, dispatcher: Dispatcher, fault: Fault) -> AsyncIterator[str]:
    """HTTP, and WebSocket and MCP on its port; gives the address."""
    async with AsyncExitStack() as opened:
        mounted = {
            "/v1/ws": WebSocketDoor(dispatcher),
            "/mcp": McpDoor(dispatcher, ["*"], 1 << 20, opened),
        }
        door = FaultyAsgi(build(dispatcher, HttpSettings(), app.telemetry, mounted), fault)
        config = uvicorn.Config(
            door, port=0, lifespan="off", log_config=None, ws="websockets-sansio", access_log=False
        )
        server = _Server(config)
        task = asyncio.create_task(server.serve())
        await server.listening.wait()
        try:
            port = server.servers[0].sockets[0].getsockname()[1]
            yield f"http://127.0.0.1:{port}"
        finally:
            server.should_exit = server.force_exit = True
            await task


@asynccontextmanager
async def _grpc(dispatcher: Dispatcher, fault: Fault) -> AsyncIterator[int]:
    """gRPC; gives the port."""
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((FaultyGrpc(GrpcDoor(dispatcher), fault),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield port
    finally:
        await server.stop(0)


@asynccontextmanager
async def _native(dispatcher: Dispatcher, fault: Fault) -> AsyncIterator[NativeDriver]:
    """Native messaging over two pipes."""
    (door_reads, client_writes), (client_reads, door_writes) = os.pipe(), os.pipe()
    door = NativeDoor(
        dispatcher,
        os.fdopen(door_reads, "rb", buffering=0),
        os.fdopen(door_writes, "wb", buffering=0),
    )
    serving = asyncio.create_task(door.serve())
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(client_reads, "rb", buffering=0)
    )
    transport, protocol = await loop.connect_write_pipe(
        asyncio.streams.FlowControlMixin, os.fdopen(client_writes, "wb", buffering=0)
    )
    writer = asyncio.StreamWriter(transport, protocol, None, loop)
    driver = NativeDriver(FaultyPipe(reader, writer, fault), os.getpid())
    try:
        yield driver
    finally:
        await driver.close()
        await serving
