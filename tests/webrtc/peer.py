"""The other end of a WebRTC connection: aiortc, as a client would use it."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgspec
from aiortc import (
    MediaStreamTrack,
    RTCConfiguration,
    RTCPeerConnection,
    RTCSessionDescription,
)

from sensorium.transports.parts import Joiner, parts_of

# With it comes loopback, for a host that has no other address.
from sensorium.transports.webrtc import library as library

MAX_FRAME = 60_000
OPEN_S = 60.0


class Peer:
    """A connected peer whose data channel carries messages both ways."""

    def __init__(self, tracks: tuple[MediaStreamTrack, ...] = ()) -> None:
        self.connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.session = ""
        self.shown: list[MediaStreamTrack] = []
        self._opened = asyncio.Event()
        self._frames: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.channel = self.connection.createDataChannel("sensorium")
        self.channel.on("open", self._opened.set)
        self.channel.on("message", lambda text: self._frames.put_nowait(_bytes(text)))
        self.channel.on("close", lambda: self._frames.put_nowait(None))
        self.connection.on("track", self.shown.append)
        for track in tracks:
            self.connection.addTrack(track)

    async def offer(self) -> str:
        """The description to send."""
        await self.connection.setLocalDescription(await self.connection.createOffer())
        return self.connection.localDescription.sdp

    async def accept(self, sdp: str) -> None:
        """Take the answer, and wait until the channel is open."""
        await self.connection.setRemoteDescription(RTCSessionDescription(sdp, "answer"))
        async with asyncio.timeout(OPEN_S):
            await self._opened.wait()

    async def connect(self, http: httpx.AsyncClient) -> "Peer":
        """Offer, and be connected."""
        response = await http.post("/v1/webrtc/offer", json={"sdp": await self.offer()})
        response.raise_for_status()
        self.session = response.json()["session"]
        await self.accept(response.json()["sdp"])
        return self

    async def send(self, message: bytes | str) -> None:
        """Send a message, in parts where it is long."""
        for frame in parts_of(_bytes(message), MAX_FRAME):
            self.channel.send(frame.decode())

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """The messages that come, until the channel closes."""
        joiner = Joiner(1 << 30)
        while (frame := await self._frames.get()) is not None:
            message = joiner.add(frame)
            if message is not None:
                yield message

    async def call(self, number: int, name: str, data: Any, **more: Any) -> AsyncIterator[Any]:
        """Make a call, alone on the channel; gives its messages up to the last."""
        await self.send(json.dumps({"id": number, "op": name, "data": data, **more}))
        async for text in self:
            message = msgspec.json.decode(text)
            assert message["id"] == number
            yield message
            if "chunk" not in message:
                return

    async def ask(self, number: int, name: str, data: Any) -> Any:
        """The one message that a call is answered with."""
        (answer,) = [each async for each in self.call(number, name, data)]
        return answer

    async def close(self) -> None:
        """Hang up."""
        await self.connection.close()


def _bytes(message: bytes | str) -> bytes:
    return message.encode() if isinstance(message, str) else message
