"""Doors and operations that are broken on purpose, for the suite to find out."""

import asyncio
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import uvicorn

from sensorium.core.dispatch import Answer, Caller, Dispatcher, Payload, Principal
from sensorium.core.errors import ConflictError, SensoriumError
from sensorium.core.registry import Registry
from sensorium.core.telemetry import Telemetry
from sensorium.transports.http.settings import HttpSettings
from sensorium.transports.http.wiring import build
from sensorium.transports.websocket import WebSocketDoor

Message = MutableMapping[str, Any]
Asgi = Callable[..., Awaitable[None]]


class Faithful:
    """A dispatcher that hands everything on; the broken ones change one thing of it."""

    def __init__(self, inner: Dispatcher) -> None:
        self._inner = inner

    @property
    def registry(self) -> Registry:
        return self._inner.registry

    def identify(self, credential: str | None) -> Principal:
        return self._inner.identify(credential)

    def authorise(self, principal: Principal, name: str) -> None:
        self._inner.authorise(principal, name)

    async def call(self, name: str, payload: Payload, caller: Caller) -> Answer:
        return await self._inner.call(name, payload, caller)

    async def stream(
        self,
        name: str,
        payload: Payload,
        caller: Caller,
        incoming: AsyncIterator[Payload] | None = None,
    ) -> AsyncGenerator[Answer, None]:
        items = self._inner.stream(name, payload, caller, incoming)
        try:
            async for item in items:
                yield item
        finally:
            await items.aclose()


class DropsAField(Faithful):
    """Loses the last field of every answer."""

    async def call(self, name: str, payload: Payload, caller: Caller) -> Answer:
        answer = await super().call(name, payload, caller)
        fields = msgspec.json.decode(answer.json(), type=dict[str, msgspec.Raw])
        fields.popitem()
        return Answer(encoded=msgspec.json.encode(fields))


class SwapsAnswers(Faithful):
    """Gives two calls that run at the same time each other's answer."""

    _held: "tuple[Answer, asyncio.Future[Answer]] | None" = None

    async def call(self, name: str, payload: Payload, caller: Caller) -> Answer:
        mine = await super().call(name, payload, caller)
        if self._held is not None:
            theirs, waiting = self._held
            self._held = None
            waiting.set_result(mine)
            return theirs
        other: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._held = (mine, other)
        await asyncio.wait({other}, timeout=0.1)
        if other.done():
            return other.result()
        self._held = None
        return mine


class IgnoresCancel(Faithful):
    """Lets a call go on that nobody waits for."""

    async def call(self, name: str, payload: Payload, caller: Caller) -> Answer:
        return await asyncio.shield(asyncio.ensure_future(super().call(name, payload, caller)))


class NeverEnds(Faithful):
    """Sends every item of a stream, and then neither an end nor anything else."""

    async def stream(
        self,
        name: str,
        payload: Payload,
        caller: Caller,
        incoming: AsyncIterator[Payload] | None = None,
    ) -> AsyncGenerator[Answer, None]:
        async for item in super().stream(name, payload, caller, incoming):
            yield item
        await asyncio.Event().wait()


class SaysAnotherCode(Faithful):
    """Calls every error a conflict."""

    async def call(self, name: str, payload: Payload, caller: Caller) -> Answer:
        try:
            return await super().call(name, payload, caller)
        except SensoriumError as error:
            raise ConflictError(error.message, details=error.details) from None


class BrokenDoor:
    """An ASGI application in which the messages of a good one are changed on their way."""

    def __init__(self, inner: Asgi) -> None:
        self._inner = inner

    async def __call__(self, scope: Message, receive: Asgi, send: Asgi) -> None:
        async def hear() -> Message:
            while True:
                message: Message = await receive()
                if self.hears(message):
                    return message
                if message["type"] == "http.disconnect":
                    await asyncio.Event().wait()  # it would come again and again

        async def say(message: Message) -> None:
            kind = message["type"]
            if kind == "http.response.body":
                message["body"] = self.says(message["body"])
            elif kind == "websocket.send":
                message["text"] = self.says(message["text"].encode()).decode()
                if not message["text"]:
                    return
            await send(message)

        await self._inner(scope, hear, say)

    def hears(self, message: Message) -> bool:
        """Whether a message from the client is heard at all."""
        del message
        return True

    def says(self, body: bytes) -> bytes:
        """What becomes of something that the client is sent."""
        return body


class RenamesAField(BrokenDoor):
    """Loses `token` on the way, and keeps its value under a name that nobody knows."""

    def says(self, body: bytes) -> bytes:
        return body.replace(b'"token"', b'"tokem"')


class SwapsIds(BrokenDoor):
    """Answers each call under the id of the one before it."""

    def says(self, body: bytes) -> bytes:
        message = msgspec.json.decode(body)
        if isinstance(message, dict) and message.get("id") and "data" in message:
            return msgspec.json.encode({**message, "id": message["id"] ^ 1})
        return body


class DeafDoor(BrokenDoor):
    """Hears neither a cancellation nor that the client is gone."""

    def hears(self, message: Message) -> bool:
        left = message["type"] == "http.disconnect"
        cancelled = b'"cancel"' in (message.get("bytes") or (message.get("text") or "").encode())
        return not (left or cancelled)


class SwallowsTheEnd(BrokenDoor):
    """Ends a stream without saying so."""

    def says(self, body: bytes) -> bytes:
        if b'"id"' in body and b'"end":{}' in body:
            return b""
        return body.replace(b'{"end":{}}\n', b"\n" * 11)


class MisspellsCodes(BrokenDoor):
    """Has another word for bad input."""

    def says(self, body: bytes) -> bytes:
        return body.replace(b'"invalid_input"', b'"unclear_input"')


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()


@asynccontextmanager
async def serving_here(
    dispatcher: Dispatcher, telemetry: Telemetry, breaks: type[BrokenDoor]
) -> AsyncIterator[str]:
    """HTTP and WebSocket over a dispatcher, from this very loop; gives the address."""
    mounted = {"/v1/ws": WebSocketDoor(dispatcher)}
    door = breaks(build(dispatcher, HttpSettings(), telemetry, mounted))
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
