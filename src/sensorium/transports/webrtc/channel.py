"""The envelope over one data channel."""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec

from sensorium.core.dispatch import Dispatcher, Principal
from sensorium.core.errors import SensoriumError
from sensorium.transports.conversation import Conversation, Tracks
from sensorium.transports.envelope import Outgoing
from sensorium.transports.parts import Joiner, parts_of

MAX_FRAME = 60_000
"""What every peer takes at once: aiortc announces 65,536 bytes, browsers more."""
MAX_MESSAGE = 4 << 20
"""A message is decoded on the event loop; what is larger goes over HTTP."""
MAX_UNREAD = 16 << 20
"""Messages that may wait to be heard; whoever sends more than that is cut off."""
HIGH_WATER, LOW_WATER = 1 << 20, 1 << 18
"""Bytes in the channel's own buffer: above the one we wait until it is below the other."""


class EnvelopeChannel:
    """Serves the calls that come over a channel of aiortc's, until it closes."""

    def __init__(
        self,
        channel: Any,
        dispatcher: Dispatcher,
        identify: Callable[[], Principal],
        tracks: Tracks,
        touch: Callable[[], None],
    ) -> None:
        self.conversation = Conversation(dispatcher, identify, "webrtc", self._send, tracks)
        self._channel = channel
        self._touch = touch
        self._messages: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._unread_bytes = 0
        self._sending = asyncio.Lock()
        self._room = asyncio.Event()
        channel.bufferedAmountLowThreshold = LOW_WATER
        channel.on("message", self._take)
        channel.on("bufferedamountlow", self._room.set)
        channel.on("close", self.end)

    async def serve(self) -> None:
        """Serve until the channel closes; what still runs then is stopped."""
        joiner = Joiner(MAX_MESSAGE)
        try:
            while (frame := await self._messages.get()) is not None:
                self._unread_bytes -= len(frame)
                try:
                    message = joiner.add(frame)
                except SensoriumError as error:
                    await self._send(msgspec.json.encode(Outgoing(None, error=error.body())))
                else:
                    if message is not None:
                        await self.conversation.hear(message)
        finally:
            await self.conversation.close()

    def end(self) -> None:
        """Have `serve` return."""
        self._messages.put_nowait(None)
        self._room.set()

    def _take(self, message: bytes | str) -> None:
        """Take up what the library hands over; called on the event loop."""
        self._touch()
        frame = message.encode() if isinstance(message, str) else message
        self._unread_bytes += len(frame)
        if self._unread_bytes > MAX_UNREAD:
            self._channel.close()
        else:
            self._messages.put_nowait(frame)

    async def _send(self, message: bytes) -> None:
        async with self._sending:  # the parts of a message stand together
            for frame in parts_of(message, MAX_FRAME):
                while self._open and self._channel.bufferedAmount > HIGH_WATER:
                    self._room.clear()
                    await self._room.wait()
                if not self._open:  # nobody reads any more
                    return
                self._channel.send(frame.decode())

    @property
    def _open(self) -> bool:
        return bool(self._channel.readyState == "open")
