"""One WebRTC connection: its description, its data channels and its tracks."""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Literal

from aiortc import (
    MediaStreamTrack,
    RTCConfiguration,
    RTCDataChannel,
    RTCIceServer,
    RTCPeerConnection,
    RTCSessionDescription,
)
from aiortc.exceptions import OperationError

from sensorium.core.dispatch import Dispatcher, Principal
from sensorium.core.errors import (
    InvalidInputError,
    OverloadedError,
    SensoriumError,
    UnavailableError,
)
from sensorium.transports.webrtc import library
from sensorium.transports.webrtc.channel import EnvelopeChannel
from sensorium.transports.webrtc.media import PeerTracks
from sensorium.transports.webrtc.outgoing import OutgoingVideo
from sensorium.transports.webrtc.schema import CandidateRequest, IceServer, SessionEntry

log = logging.getLogger("sensorium.webrtc")
MAX_MEDIA = 4
"""Sections of an offer: each may take sockets, and each track is decoded."""
MAX_CANDIDATES = 100
"""Addresses of a peer: each is sent packets, whoever is there."""
MAX_CHANNELS = 8
ENDING_S = 1.0


class PeerSession:
    """A connection to one peer; implements `sessions.Session`."""

    def __init__(
        self,
        name: str,
        dispatcher: Dispatcher,
        principal: Principal,
        ice_servers: Sequence[IceServer],
        on_end: Callable[[], object],
    ) -> None:
        self.principal = principal
        self._name = name
        self._dispatcher = dispatcher
        self._on_end = on_end
        self._tracks = PeerTracks()
        self._channels: set[EnvelopeChannel] = set()
        self._incoming: list[str] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._began = self._last_used = time.monotonic()
        self._candidates = 0
        self._finishing = False
        self._closing: asyncio.Task[None] | None = None
        # Without a list of its own the library asks a server of Google's.
        servers = [
            RTCIceServer(each.urls, each.username or None, each.credential or None)
            for each in ice_servers
        ]
        self._peer = RTCPeerConnection(RTCConfiguration(iceServers=servers))
        self._peer.on("datachannel", self._serve_channel)
        self._peer.on("track", self._serve_track)
        self._peer.on("connectionstatechange", self._look_at_state)

    async def answer(self, sdp: str) -> str:
        """The answer to an offer.

        Raises:
            InvalidInputError: it makes no sense, or offers no codec that is served.
            UnavailableError: this host has no socket for it.
        """
        lines = sdp.splitlines()
        for mark, most in (("m=", MAX_MEDIA), ("a=candidate", MAX_CANDIDATES)):
            if sum(each.startswith(mark) for each in lines) > most:
                raise InvalidInputError(f"an offer has at most {most} lines with {mark}")
        sdp = library.without_hidden_candidates(sdp)
        try:
            await self._peer.setRemoteDescription(RTCSessionDescription(sdp, "offer"))
            if library.wants_video(self._peer):
                self._tracks.outgoing = OutgoingVideo()
                self._peer.addTrack(self._tracks.outgoing)
            await self._peer.setLocalDescription()
        except OperationError:
            raise InvalidInputError(
                "none of the offered codecs is served: video is VP8 or H264, sound Opus, G722, "
                "PCMU or PCMA",
                details={"video": ["VP8", "H264"], "audio": ["opus", "G722", "PCMU", "PCMA"]},
            ) from None
        except OSError as error:
            raise UnavailableError(f"no socket for WebRTC: {error.strerror or error}") from None
        except Exception as error:  # the library checks little, and fails as it happens
            log.debug("an offer could not be used", exc_info=True)
            raise InvalidInputError(
                f"the session description cannot be used: {type(error).__name__}"
            ) from None
        if not self._peer.getTransceivers() and self._peer.sctp is None:
            raise InvalidInputError("the session description offers nothing")
        return self._peer.localDescription.sdp

    async def add_candidate(self, request: CandidateRequest) -> None:
        """Take up an address of the peer.

        Raises:
            InvalidInputError: it makes no sense.
            OverloadedError: the peer has sent too many.
        """
        self._candidates += 1
        if self._candidates > MAX_CANDIDATES:
            raise OverloadedError(f"a peer has at most {MAX_CANDIDATES} candidates")
        if library.HIDDEN in request.candidate:
            return
        try:
            await self._peer.addIceCandidate(library.candidate_of(request))
        except Exception as error:
            raise InvalidInputError(
                f"the candidate cannot be used: {type(error).__name__}"
            ) from None

    def entry(self) -> SessionEntry:
        """How it is."""
        now = time.monotonic()
        busy = any(each.conversation.busy for each in self._channels)
        used = [self._last_used, *(each.conversation.last_used for each in self._channels)]
        return SessionEntry(
            session=self._name,
            state=self._state(),
            age_s=now - self._began,
            idle_s=0.0 if busy else now - max(used),
            channels=len(self._channels),
            tracks=list(self._incoming),
        )

    async def finish(self) -> None:
        """See `sessions.Session.finish`."""
        self._finishing = True
        await asyncio.gather(*(each.conversation.finish() for each in list(self._channels)))

    async def close(self, why: SensoriumError | None = None) -> None:
        """End it; what it still runs is stopped, and told `why`."""
        if self._closing is None:
            self._closing = asyncio.create_task(self._close(why))
        await asyncio.shield(self._closing)

    async def _close(self, why: SensoriumError | None) -> None:
        self._finishing = True
        try:
            async with asyncio.timeout(ENDING_S):
                await asyncio.gather(*(each.leave(why) for each in list(self._channels)))
        except TimeoutError:  # the peer does not read
            pass
        finally:
            for task in list(self._tasks):
                task.cancel()
            await self._peer.close()
            self._on_end()

    def _state(self) -> Literal["connecting", "connected", "closed"]:
        match self._peer.connectionState:
            case "new" | "connecting":
                return "connecting"
            case "connected":
                return "connected"
            case _:
                return "closed"

    def _look_at_state(self) -> None:
        if self._state() == "closed":
            self._end()

    def _end(self) -> None:
        if self._closing is None:
            self._closing = asyncio.create_task(self._close(None))

    def _serve_channel(self, channel: RTCDataChannel) -> None:
        if self._finishing or len(self._channels) >= MAX_CHANNELS:
            channel.close()
            return
        served = EnvelopeChannel(
            channel,
            self._dispatcher,
            lambda: self._dispatcher.renew(self.principal),
            self._tracks,
            on_stuck=self._end,
        )
        self._channels.add(served)
        task = self._run(served.serve())
        task.add_done_callback(lambda _: self._forget(served))

    def _forget(self, channel: EnvelopeChannel) -> None:
        self._channels.discard(channel)
        self._last_used = max(self._last_used, channel.conversation.last_used)

    def _serve_track(self, track: MediaStreamTrack) -> None:
        self._incoming.append(track.kind)
        self._run(self._tracks.pump(track))

    def _run(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
