"""The envelope over one data channel."""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec

from sensorium.core.dispatch import Dispatcher, Principal
from sensorium.core.errors import SensoriumError
from sensorium.transports.conversation import Conversation, Tracks
from sensorium.transports.envelope import MAX_MESSAGE, Outgoing
from sensorium.transports.parts import Joiner, parts_of

MAX_FRAME = 60_000
"""What every peer takes at once: aiortc announces 65,536 bytes, browsers more."""
FRAME_BYTES = 64
"""What a frame costs beside its own bytes."""
MAX_UNREAD = 16 << 20
"""Frames that may wait to be heard; whoever sends more than that is cut off."""
MAX_UNSENT = 64 << 20
"""Answers that may wait to be sent; whoever asks for more without reading is cut off."""
HIGH_WATER, LOW_WATER = 1 << 20, 1 << 18
"""Bytes in the channel's own buffer: above the one we wait until it is below the other."""
UNREAD_S = 30.0
"""The longest wait for a peer that does not read."""


class EnvelopeChannel:
    """Serves the calls that come over a channel of aiortc's, until it closes.

    `on_stuck` is called when the peer does not read what it asked for.
    """

    def __init__(
        self,
        channel: Any,
        dispatcher: Dispatcher,
        identify: Callable[[], Principal],
        tracks: Tracks,
        on_stuck: Callable[[], None],
    ) -> None:
        self.conversation = Conversation(dispatcher, identify, "webrtc", self._send, tracks)
        self._channel = channel
        self._on_stuck = on_stuck
        self._frames: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._unread_bytes = self._unsent_bytes = 0
        self._sending = asyncio.Lock()
        self._room = asyncio.Event()
        channel.bufferedAmountLowThreshold = LOW_WATER
        channel.on("message", self._take)
        channel.on("bufferedamountlow", self._room.set)
        channel.on("close", self._end)

    async def serve(self) -> None:
        """Serve until the channel closes; what still runs then is stopped."""
        joiner = Joiner(MAX_MESSAGE)
        try:
            while (frame := await self._frames.get()) is not None:
                self._unread_bytes -= len(frame) + FRAME_BYTES
                try:
                    message = joiner.add(frame)
                except SensoriumError as error:
                    answer = Outgoing(joiner.call_id, error=error.body())
                    await self._send(msgspec.json.encode(answer))
                else:
                    if message is not None:
                        await self.conversation.hear(message)
                await asyncio.sleep(0)  # others have their turn, however many frames wait
        finally:
            await self.conversation.close()

    async def leave(self, why: SensoriumError | None) -> None:
        """Stop what runs, tell the peer why, and have `serve` return."""
        await self.conversation.close(why)
        self._end()

    def _end(self) -> None:
        self._frames.put_nowait(None)
        self._room.set()

    def _take(self, message: bytes | str) -> None:
        """Take up what the library hands over; called on the event loop."""
        frame = message.encode() if isinstance(message, str) else message
        self._unread_bytes += len(frame) + FRAME_BYTES
        if self._unread_bytes > MAX_UNREAD:
            self._on_stuck()
        else:
            self._frames.put_nowait(frame)

    async def _send(self, message: bytes) -> None:
        self._unsent_bytes += len(message)
        if self._unsent_bytes > MAX_UNSENT:
            self._on_stuck()
        try:
            async with self._sending:  # the parts of a message stand together
                for frame in parts_of(message, MAX_FRAME):
                    await self._wait_for_room()
                    if not self._open:  # nobody reads any more
                        return
                    self._channel.send(frame.decode())
                    await asyncio.sleep(0)  # a message may have hundreds of parts
        finally:
            self._unsent_bytes -= len(message)

    async def _wait_for_room(self) -> None:
        while self._open and self._channel.bufferedAmount > HIGH_WATER:
            self._room.clear()
            try:
                async with asyncio.timeout(UNREAD_S):
                    await self._room.wait()
            except TimeoutError:
                self._on_stuck()
                return

    @property
    def _open(self) -> bool:
        return bool(self._channel.readyState == "open")
