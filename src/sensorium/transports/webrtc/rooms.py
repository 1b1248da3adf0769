"""Rooms: where peers pass signals to each other, so that they can connect directly."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

from sensorium.core.errors import InvalidInputError, OverloadedError
from sensorium.transports.webrtc.schema import RoomEvent, Signal

MAX_ROOMS = 1000
MAX_PEERS = 16
MAX_SIGNAL = 64 << 10
MAX_WAITING = 64
"""Events that may wait for a peer that does not read."""


class _Peer:
    """One member of a room, and what it has still to be told."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.events: asyncio.Queue[RoomEvent | None] = asyncio.Queue()
        self.overrun = False

    def tell(self, event: RoomEvent) -> None:
        if self.overrun:
            return
        self.overrun = self.events.qsize() >= MAX_WAITING
        self.events.put_nowait(None if self.overrun else event)


class Rooms:
    """The rooms of a server; one exists for as long as somebody is in it."""

    def __init__(self) -> None:
        self._rooms: dict[str, dict[int, _Peer]] = {}

    def __len__(self) -> int:
        return len(self._rooms)

    async def join(self, room: str, incoming: AsyncIterator[Signal]) -> AsyncIterator[RoomEvent]:
        """What happens in a room, until the peer's own signals end.

        Raises:
            InvalidInputError: a signal is too long.
            OverloadedError: the room is full, there are too many, or the peer does not keep up.
        """
        peer = self._enter(room)
        sending = asyncio.create_task(self._pass_on(room, peer, incoming))
        try:
            while (event := await peer.events.get()) is not None:
                yield event
            if peer.overrun:
                raise OverloadedError("signals come faster than this peer takes them")
            await sending  # whatever was wrong with the peer's own signals
        finally:
            sending.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await sending
            self._leave(room, peer)

    def _enter(self, room: str) -> _Peer:
        if room not in self._rooms and len(self._rooms) >= MAX_ROOMS:
            raise OverloadedError(f"there are {MAX_ROOMS} rooms already", retry_after_s=5.0)
        peers = self._rooms.setdefault(room, {})
        if len(peers) >= MAX_PEERS:
            raise OverloadedError(f"a room has at most {MAX_PEERS} peers", retry_after_s=5.0)
        number = next(each for each in range(1, MAX_PEERS + 1) if each not in peers)
        peer = _Peer(number)
        peer.tell(RoomEvent(kind="welcome", peer=number, peers=sorted(peers)))
        self._tell(peers, RoomEvent(kind="joined", peer=number))
        peers[number] = peer
        return peer

    def _leave(self, room: str, peer: _Peer) -> None:
        peers = self._rooms[room]
        del peers[peer.number]
        self._tell(peers, RoomEvent(kind="left", peer=peer.number))
        if not peers:
            del self._rooms[room]

    async def _pass_on(self, room: str, peer: _Peer, incoming: AsyncIterator[Signal]) -> None:
        try:
            async for signal in incoming:
                if len(bytes(signal.data)) > MAX_SIGNAL:
                    raise InvalidInputError(f"a signal has at most {MAX_SIGNAL} bytes")
                others = {n: each for n, each in self._rooms[room].items() if each is not peer}
                if signal.to is not None:
                    others = {n: each for n, each in others.items() if n == signal.to}
                self._tell(others, RoomEvent(kind="signal", peer=peer.number, data=signal.data))
        finally:
            peer.events.put_nowait(None)

    @staticmethod
    def _tell(peers: dict[int, _Peer], event: RoomEvent) -> None:
        for each in peers.values():
            each.tell(event)
