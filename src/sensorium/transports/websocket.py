"""The WebSocket door: the envelope, one message per frame."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from sensorium.core.dispatch import Dispatcher
from sensorium.core.errors import CancelledCallError, SensoriumError, UnavailableError
from sensorium.transports.envelope import Conversation

DRAIN = "websocket.drain"
"""Beside ASGI's own messages: begin nothing new, and close when what runs has ended."""
POLICY_VIOLATION = 1008
RESTART = 1012
SLOW_S = 30.0
"""A client that has not read for this long is let go."""

Message = MutableMapping[str, Any]


class WebSocketDoor:
    """An ASGI application for WebSocket connections whose sender has been checked already.

    The API key comes as a header, or, from a browser, as the subprotocol `sensorium.key.KEY`
    beside `sensorium.v1`.
    """

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher

    async def __call__(
        self,
        scope: MutableMapping[str, Any],
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        """Serve one connection (ASGI)."""
        await receive()  # websocket.connect
        try:
            principal = self._dispatcher.identify(_credential(scope))
        except SensoriumError:
            await send({"type": "websocket.close", "code": POLICY_VIOLATION})
            return
        ours = "sensorium.v1" if "sensorium.v1" in scope.get("subprotocols", ()) else None
        await send({"type": "websocket.accept", "subprotocol": ours})
        lock = asyncio.Lock()

        owner = asyncio.current_task()
        assert owner is not None
        stuck = False

        async def write(message: bytes) -> None:
            nonlocal stuck
            try:
                async with lock, asyncio.timeout(SLOW_S):
                    await send({"type": "websocket.send", "text": message.decode()})
            except TimeoutError:
                stuck = True
                owner.cancel()
                raise CancelledCallError("the client does not read") from None

        conversation = Conversation(self._dispatcher, principal, "websocket", write)

        async def drain() -> None:
            await conversation.finish()
            await send({"type": "websocket.close", "code": RESTART})

        draining: asyncio.Task[None] | None = None
        try:
            while (message := await receive())["type"] != "websocket.disconnect":
                if message["type"] == DRAIN:
                    draining = asyncio.create_task(drain())
                else:
                    await conversation.hear(message.get("text") or message.get("bytes") or b"")
        except asyncio.CancelledError:  # by `write`, or by a stop that can wait no longer
            if draining is not None:
                draining.cancel()
            if stuck:
                return
            await conversation.close(UnavailableError("the server is stopping"))
            await send({"type": "websocket.close", "code": RESTART})
        finally:
            if draining is not None:
                draining.cancel()
            await conversation.close()


def _credential(scope: MutableMapping[str, Any]) -> str | None:
    headers = dict(scope["headers"])
    scheme, _, token = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
    if scheme.lower() == "bearer" and token:
        return str(token).strip()
    if b"x-api-key" in headers:
        return str(headers[b"x-api-key"].decode("latin-1"))
    mark = "sensorium.key."
    given = [name for name in scope.get("subprotocols", ()) if name.startswith(mark)]
    return given[0].removeprefix(mark) if given else None
