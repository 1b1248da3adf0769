"""The MCP door at `/mcp`, which loads the SDK when somebody first asks for it."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from contextlib import AsyncExitStack
from typing import Any

from sensorium.core.dispatch import Dispatcher
from sensorium.core.loading import load

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
HTTP = "sensorium.transports.mcp.http"


class McpDoor:
    """An ASGI application. `opened` is what it closes with.

    It is mounted behind a door that has checked the sender, and left who calls in the scope.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        patterns: Sequence[str],
        max_bytes: int,
        opened: AsyncExitStack,
    ) -> None:
        self._dispatcher = dispatcher
        self._patterns = patterns
        self._max_bytes = max_bytes
        self._opened = opened
        self._opening = asyncio.Lock()
        self._serve: Callable[[Scope, Receive, Send], Awaitable[None]] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request (ASGI).

        Raises:
            UnavailableError: the SDK is not installed; says how to get it.
        """
        if scope["type"] != "http":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["method"] != "POST":  # there is no session, so nothing to listen to or to end
            headers = [(b"allow", b"POST"), (b"content-length", b"0")]
            await send({"type": "http.response.start", "status": 405, "headers": headers})
            await send({"type": "http.response.body", "body": b""})
            return
        if self._serve is None:
            async with self._opening:
                if self._serve is None:
                    self._serve = await self._open()
        await self._serve(scope, receive, send)

    async def _open(self) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
        make = await asyncio.to_thread(load, f"{HTTP}:open_manager")
        served: Callable[[Scope, Receive, Send], Awaitable[None]] = await make(
            self._dispatcher, self._patterns, self._max_bytes, self._opened
        )
        return served
