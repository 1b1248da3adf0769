"""MCP over standard input and output: a server for the one program that started it."""

from collections.abc import Sequence
from typing import Any

from mcp.server.stdio import stdio_server

from sensorium.core.dispatch import LOCAL, Caller, Dispatcher
from sensorium.transports.mcp.tools import make_server


async def serve(dispatcher: Dispatcher, patterns: Sequence[str]) -> None:
    """Serve until standard input ends."""
    server = make_server(dispatcher, patterns, _caller_of)
    async with stdio_server() as (incoming, outgoing):
        await server.run(incoming, outgoing, server.create_initialization_options())


def _caller_of(context: Any) -> Caller:
    return Caller(LOCAL, request_id=f"mcp-{context.request_id}", door="mcp")
