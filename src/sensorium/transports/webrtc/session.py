"""One WebRTC connection: its description, its data channels and its tracks."""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Literal

from aioice import ice
from aiortc import (
    MediaStreamTrack,
    RTCConfiguration,
    RTCDataChannel,
    RTCIceCandidate,
    RTCIceServer,
    RTCPeerConnection,
    RTCSessionDescription,
)
from aiortc.exceptions import OperationError
from aiortc.sdp import candidate_from_sdp

from sensorium.core.dispatch import Dispatcher, Principal
from sensorium.core.errors import InvalidInputError, OverloadedError
from sensorium.transports.webrtc.channel import EnvelopeChannel
from sensorium.transports.webrtc.media import OutgoingVideo, PeerTracks
from sensorium.transports.webrtc.schema import CandidateRequest, IceServer, SessionEntry

log = logging.getLogger("sensorium.webrtc")
logging.getLogger("aioice").setLevel(logging.WARNING)  # it tells of every address it tries
MAX_MEDIA = 8
"""Sections of an offer: each may take sockets of its own."""
MAX_CANDIDATES = 100
"""Addresses of a peer: each is sent packets, whoever is there."""
CANDIDATE_TYPES = ("host", "srflx", "prflx", "relay")
MAX_CHANNELS = 8
LOOPBACK = "127.0.0.1"


_find_addresses = ice.get_host_addresses


def _addresses(use_ipv4: bool, use_ipv6: bool) -> list[str]:
    """This host's addresses: the library leaves loopback out, even where there is nothing else."""
    return _find_addresses(use_ipv4, use_ipv6) or [LOOPBACK]


ice.get_host_addresses = _addresses


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
        self._began = self._touched = time.monotonic()
        self._candidates = 0
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
        """
        if sdp.count("\nm=") > MAX_MEDIA or sdp.count("\na=candidate") > MAX_CANDIDATES:
            raise InvalidInputError(
                f"an offer has at most {MAX_MEDIA} media and {MAX_CANDIDATES} candidates"
            )
        try:
            await self._peer.setRemoteDescription(RTCSessionDescription(sdp, "offer"))
            self._offer_video()
            await self._peer.setLocalDescription()
        except OperationError:
            raise InvalidInputError(
                "none of the offered codecs is served: video is VP8 or H264, sound Opus, G722, "
                "PCMU or PCMA",
                details={"video": ["VP8", "H264"], "audio": ["opus", "G722", "PCMU", "PCMA"]},
            ) from None
        except Exception as error:  # the library checks little, and fails as it happens
            log.info("an offer could not be used", exc_info=True)
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
        try:
            await self._peer.addIceCandidate(_candidate(request))
        except Exception as error:
            raise InvalidInputError(
                f"the candidate cannot be used: {type(error).__name__}"
            ) from None

    def entry(self) -> SessionEntry:
        """How it is."""
        now = time.monotonic()
        busy = any(each.conversation.busy for each in self._channels)
        return SessionEntry(
            session=self._name,
            state=self._state(),
            age_s=now - self._began,
            idle_s=0.0 if busy else now - self._touched,
            channels=len(self._channels),
            tracks=list(self._incoming),
        )

    async def finish(self) -> None:
        """See `sessions.Session.finish`."""
        await asyncio.gather(*(each.conversation.finish() for each in list(self._channels)))

    async def close(self) -> None:
        """End it; what it still runs is stopped."""
        if self._closing is None:
            self._closing = asyncio.create_task(self._close())
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        self._on_end()
        for channel in list(self._channels):
            channel.end()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=1.0)
        for task in self._tasks:
            task.cancel()
        await self._peer.close()

    def _state(self) -> Literal["connecting", "connected", "closed"]:
        match self._peer.connectionState:
            case "new" | "connecting":
                return "connecting"
            case "connected":
                return "connected"
            case _:
                return "closed"

    def _look_at_state(self) -> None:
        if self._state() == "closed" and self._closing is None:
            self._closing = asyncio.create_task(self._close())

    def _touch(self) -> None:
        self._touched = time.monotonic()

    def _offer_video(self) -> None:
        """Have a track of our own, where the peer wants to see something."""
        wants = [
            each
            for each in self._peer.getTransceivers()
            if each.kind == "video" and each._offerDirection in ("sendrecv", "sendonly")
        ]
        if wants:
            self._tracks.outgoing = OutgoingVideo()
            self._peer.addTrack(self._tracks.outgoing)

    def _serve_channel(self, channel: RTCDataChannel) -> None:
        if len(self._channels) >= MAX_CHANNELS:
            channel.close()
            return
        self._touch()
        served = EnvelopeChannel(
            channel,
            self._dispatcher,
            lambda: self._dispatcher.renew(self.principal),
            self._tracks,
            self._touch,
        )
        self._channels.add(served)
        task = self._run(served.serve())
        task.add_done_callback(lambda _: self._channels.discard(served))

    def _serve_track(self, track: MediaStreamTrack) -> None:
        self._incoming.append(track.kind)
        self._run(self._tracks.pump(track))

    def _run(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _candidate(request: CandidateRequest) -> RTCIceCandidate | None:
    """The library's form of a candidate; None for the sign that there are no more."""
    text = request.candidate.removeprefix("candidate:").strip()
    if not text:
        return None
    candidate = candidate_from_sdp(text)
    if candidate.type not in CANDIDATE_TYPES:
        raise ValueError(f"there is no such type: {candidate.type[:20]}")
    candidate.sdpMid = request.sdp_mid
    candidate.sdpMLineIndex = request.sdp_m_line_index
    return candidate
