"""Doors that are broken on purpose: a fault is what happens to messages on their way."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any

import grpc

from tests.conformance.native_driver import Pipe
from tests.webrtc.peer import Peer

Message = MutableMapping[str, Any]
Asgi = Callable[..., Awaitable[None]]
GONE = None
"""What is heard of a client that has left, or, over gRPC, cancelled."""


class Fault:
    """None: everything gets through. The faults proper change one thing of it."""

    ends = True
    """Whether a stream over gRPC has an end."""

    def hears(self, said: bytes | None) -> bool:
        """Whether something from the client is heard at all."""
        del said
        return True

    def says(self, body: bytes) -> bytes:
        """What becomes of some JSON that the client is sent."""
        return body

    def packs(self, message: bytes) -> bytes:
        """What becomes of a protobuf message that it is sent."""
        return message


class RenamesAField(Fault):
    """Loses `token` on the way, and keeps its value under a name that nobody knows."""

    def says(self, body: bytes) -> bytes:
        return body.replace(b'"token"', b'"tokem"')

    def packs(self, message: bytes) -> bytes:
        return message.replace(b"\x0a", b"\x7a", 1)  # 15 in place of 1


class SwapsIds(Fault):
    """Answers each call under the id of the one before it."""

    def says(self, body: bytes) -> bytes:
        if b'"data":' not in body and b'"result":' not in body:
            return body
        return re.sub(rb'"id":(\d+)', lambda found: b'"id":%d' % (int(found[1]) ^ 1), body, count=1)


class Deaf(Fault):
    """Hears neither a cancellation nor that the client is gone."""

    def hears(self, said: bytes | None) -> bool:
        return said is not GONE and b'"cancel"' not in said


class SwallowsTheEnd(Fault):
    """Ends a stream without saying so, and over MCP a response without its only message."""

    ends = False

    def says(self, body: bytes) -> bytes:
        if (b'"id"' in body and b'"end":{}' in body) or b'"jsonrpc"' in body:
            return b""
        return body.replace(b'{"end":{}}\n', b"\n" * 11)


class MisspellsCodes(Fault):
    """Has another word for bad input."""

    def says(self, body: bytes) -> bytes:
        return body.replace(b'"invalid_input"', b'"unclear_input"')


class FaultyAsgi:
    """An ASGI application (HTTP, WebSocket, MCP) whose messages a fault changes."""

    def __init__(self, inner: Asgi, fault: Fault) -> None:
        self._inner = inner
        self._fault = fault

    async def __call__(self, scope: Message, receive: Asgi, send: Asgi) -> None:
        async def hear() -> Message:
            while True:
                message: Message = await receive()
                left = message["type"] == "http.disconnect"
                said = message.get("bytes") or (message.get("text") or "").encode()
                if self._fault.hears(GONE if left else said):
                    return message
                if left:
                    await asyncio.Event().wait()  # it would come again and again

        async def say(message: Message) -> None:
            kind = message["type"]
            if kind == "http.response.body":
                message["body"] = self._fault.says(message.get("body", b""))
            elif kind == "websocket.send":
                message["text"] = self._fault.says(message["text"].encode()).decode()
                if not message["text"]:
                    return
            await send(message)

        await self._inner(scope, hear, say)


class _Faulty:
    """What carries messages, and a fault that changes them between the door and its client."""

    fault: Fault

    async def send(self, message: bytes | str) -> None:
        body = message.encode() if isinstance(message, str) else message
        if self.fault.hears(body):
            await super().send(body)  # type: ignore[misc]

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for message in super().__aiter__():  # type: ignore[misc]
            if said := self.fault.says(message):
                yield said


class FaultyPipe(_Faulty, Pipe):
    """Native messaging with a fault."""

    def __init__(
        self, incoming: asyncio.StreamReader, outgoing: asyncio.StreamWriter, fault: Fault
    ) -> None:
        super().__init__(incoming, outgoing)
        self.fault = fault


class FaultyPeer(_Faulty, Peer):
    """WebRTC with a fault."""

    def __init__(self, fault: Fault) -> None:
        super().__init__()
        self.fault = fault


class FaultyGrpc(grpc.GenericRpcHandler):  # type: ignore[misc]
    """gRPC whose messages, endings and cancellations a fault changes."""

    def __init__(self, inner: Any, fault: Fault) -> None:
        self._inner = inner
        self._fault = fault

    def service(self, details: grpc.HandlerCallDetails) -> Any:
        handler = self._inner.service(details)
        if handler.unary_unary is not None:
            return grpc.unary_unary_rpc_method_handler(self._unary(handler.unary_unary))
        return grpc.unary_stream_rpc_method_handler(self._stream(handler.unary_stream))

    def _unary(self, serve: Any) -> Any:
        async def broken(request: bytes, context: Any) -> bytes:
            answer = asyncio.ensure_future(serve(request, _Context(context, self._fault)))
            hears = self._fault.hears(GONE)
            return self._fault.packs(await (answer if hears else asyncio.shield(answer)))

        return broken

    def _stream(self, serve: Any) -> Any:
        async def broken(request: bytes, context: Any) -> AsyncIterator[bytes]:
            async for item in serve(request, _Context(context, self._fault)):
                yield self._fault.packs(item)
            if not self._fault.ends:
                await asyncio.Event().wait()

        return broken


class _Context:
    """A call's context, whose errors a fault changes."""

    def __init__(self, inner: Any, fault: Fault) -> None:
        self._inner = inner
        self._fault = fault

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def abort(self, code: Any, message: str, trailers: Any) -> None:
        said = (
            (name, self._fault.says(value) if isinstance(value, bytes) else value)
            for name, value in trailers
        )
        await self._inner.abort(code, message, tuple(said))
