"""MCP for the one program that started us, on standard input and output."""

import asyncio
import os
import signal

from sensorium.app import App, Settings, load_settings
from sensorium.core.loading import load
from sensorium.core.telemetry import set_up_logging


def mcp() -> None:
    """Serve operations as tools for an agent, over the Model Context Protocol.

    For the configuration of an MCP host: the command is `sensorium`, its only argument `mcp`.
    """
    settings = load_settings()
    set_up_logging(settings.log)
    serve_mcp(settings)


def serve_mcp(settings: Settings) -> None:
    """Serve an agent until standard input ends."""
    serve = load("sensorium.transports.mcp.stdio:serve")

    def leave(number: int, _: object) -> None:
        # A thread may wait for standard input for ever. The workers end with their sockets.
        os._exit(128 + number)

    async def live() -> None:
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, leave)
        app = App(settings)
        async with app.running():
            app.start_workers()
            await asyncio.to_thread(app.registry.find_plugins)
            await serve(app.dispatcher, settings.mcp.mcp_operations)

    asyncio.run(live())
