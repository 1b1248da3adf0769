"""The WebSocket door: the envelope, one message per frame."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from sensorium.core.dispatch import Dispatcher, Principal
from sensorium.core.errors import SensoriumError, UnavailableError
from sensorium.transports.conversation import Conversation

DRAIN = "websocket.drain"
"""Beside ASGI's own messages: begin nothing new, and close when what runs has ended."""
POLICY_VIOLATION = 1008
RESTART = 1012

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class WebSocketDoor:
    """An ASGI application for WebSocket connections whose sender has been checked already.

    The API key comes as a header, or, from a browser, as the subprotocol `sensorium.key.KEY`
    beside `sensorium.v1`.
    """

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection (ASGI)."""
        if scope["type"] == "http":
            await _ask_for_upgrade(send)
            return
        await receive()  # websocket.connect
        credential = _credential(scope)
        try:
            self._dispatcher.identify(credential)
        except SensoriumError:
            await send({"type": "websocket.close", "code": POLICY_VIOLATION})
            return
        ours = "sensorium.v1" if "sensorium.v1" in scope.get("subprotocols", ()) else None
        await send({"type": "websocket.accept", "subprotocol": ours})

        def identify() -> Principal:
            return self._dispatcher.identify(credential)

        writer = _Writer(send)
        conversation = Conversation(self._dispatcher, identify, "websocket", writer.write)
        await _converse(conversation, writer, receive, send)


class _Writer:
    """Writes one message at a time; what is for a client that has left goes nowhere."""

    def __init__(self, send: Send) -> None:
        self.gone = False
        self._send = send
        self._turn = asyncio.Lock()

    async def write(self, message: bytes) -> None:
        """Write a message. The protocol ends the connection of a client that does not read."""
        async with self._turn:
            if self.gone:
                return
            try:
                await self._send({"type": "websocket.send", "text": message.decode()})
            except OSError:
                self.gone = True


async def _converse(
    conversation: Conversation, writer: _Writer, receive: Receive, send: Send
) -> None:
    """Hear what comes until the client leaves, or the server has to."""

    async def drain() -> None:
        await conversation.finish()
        await send({"type": "websocket.close", "code": RESTART})

    draining: asyncio.Task[None] | None = None
    try:
        # What it sent before it left may be thousands of calls, whose answers nobody hears.
        while not writer.gone and (message := await receive())["type"] != "websocket.disconnect":
            if message["type"] == DRAIN:
                draining = asyncio.create_task(drain())
            else:
                await conversation.hear(message.get("text") or message.get("bytes") or b"")
    except asyncio.CancelledError:  # only a stop that can wait no longer cancels a connection
        if draining is not None:
            draining.cancel()
        await conversation.close(UnavailableError("the server is stopping"))
        await send({"type": "websocket.close", "code": RESTART})
    finally:
        if draining is not None:
            draining.cancel()
        await conversation.close()


async def _ask_for_upgrade(send: Send) -> None:
    headers = [(b"upgrade", b"websocket"), (b"connection", b"upgrade"), (b"content-length", b"0")]
    await send({"type": "http.response.start", "status": 426, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


def _credential(scope: Scope) -> str | None:
    headers = dict(scope["headers"])
    scheme, _, token = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
    if scheme.lower() == "bearer" and token:
        return str(token).strip()
    if b"x-api-key" in headers:
        return str(headers[b"x-api-key"].decode("latin-1"))
    mark = "sensorium.key."
    given = [name for name in scope.get("subprotocols", ()) if name.startswith(mark)]
    return given[0].removeprefix(mark) if given else None
