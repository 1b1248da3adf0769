"""MCP over Streamable HTTP: one request, one answer, no session to keep."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

from sensorium.core.dispatch import Caller, Dispatcher
from sensorium.transports.mcp.tools import make_server

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
CALLER = "sensorium.caller"
"""Where in the ASGI scope the door that this is mounted behind puts who calls."""


async def open_manager(
    dispatcher: Dispatcher, patterns: Sequence[str], max_bytes: int, opened: AsyncExitStack
) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
    """An ASGI application for `/mcp`; it ends when `opened` is closed."""
    server = make_server(dispatcher, patterns, _caller_of)
    manager = StreamableHTTPSessionManager(server, stateless=True, max_request_body_size=max_bytes)
    started: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    over = asyncio.Event()

    async def run() -> None:
        # The manager's task group must be left by the task that entered it.
        async with manager.run():
            started.set_result(None)
            await over.wait()

    task = asyncio.create_task(run())
    await asyncio.wait([started, task], return_when=asyncio.FIRST_COMPLETED)

    async def close() -> None:
        over.set()
        await asyncio.gather(task, return_exceptions=True)

    opened.push_async_callback(close)
    return manager.handle_request


def _caller_of(context: Any) -> Caller:
    caller: Caller = context.request.scope[CALLER]
    return replace(caller, door="mcp")
