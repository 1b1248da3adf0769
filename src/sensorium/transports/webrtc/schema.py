"""What the `webrtc` operations take and give."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct, field

from sensorium.core.types import Count

SessionId = Annotated[
    str, Meta(max_length=64, description="A session, as the answer to its offer names it.")
]
Sdp = Annotated[str, Meta(max_length=1 << 16)]
PeerNumber = Annotated[int, Meta(ge=0, le=2**31 - 1)]


class Done(Struct, frozen=True, kw_only=True):
    """It was done."""


class OfferRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A peer that wants to be connected."""

    sdp: Annotated[Sdp, Meta(description="Its session description, of type offer.")]


class OfferAnswer(Struct, frozen=True, kw_only=True):
    """The server's end."""

    session: Annotated[str, Meta(description="What the session is called from now on.")]
    sdp: Annotated[str, Meta(description="The session description, of type answer.")]


class CandidateRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One more address at which a peer may be reached (trickle ICE)."""

    session: SessionId
    candidate: Annotated[
        str, Meta(max_length=1024, description="As the browser gives it; empty: there are no more.")
    ] = ""
    sdp_mid: Annotated[
        Annotated[str, Meta(max_length=256)] | None, Meta(description="Of which medium, by its id.")
    ] = None
    sdp_m_line_index: Annotated[
        Annotated[int, Meta(ge=0, le=1000)] | None, Meta(description="Or by its place.")
    ] = None


class CloseRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A session to end."""

    session: SessionId


class SessionEntry(Struct, frozen=True, kw_only=True):
    """One session."""

    session: Annotated[str, Meta(description="Its name.")]
    state: Annotated[
        Literal["connecting", "connected", "closed"], Meta(description="How its connection is.")
    ]
    age_s: Annotated[float, Meta(description="Seconds since its offer.")]
    idle_s: Annotated[float, Meta(description="Seconds since it last called something.")]
    channels: Annotated[Count, Meta(description="Its data channels.")]
    tracks: Annotated[list[str], Meta(description="What it sends: video, audio.")]


class SessionList(Struct, frozen=True, kw_only=True):
    """The caller's sessions."""

    sessions: Annotated[list[SessionEntry], Meta(description="Oldest first.")]


class IceServer(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A server for a browser's `iceServers`."""

    urls: Annotated[str, Meta(description="stun:… or turn:…")]
    username: Annotated[str, Meta(description="The user name there.")] = ""
    credential: Annotated[str, Meta(description="The password there.")] = ""


class IceServers(Struct, frozen=True, kw_only=True):
    """The servers that help peers to find each other."""

    ice_servers: Annotated[list[IceServer], Meta(description="None where none is set.")]


class JoinRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A room to be in."""

    room: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=128,
            description="Who knows the name may join; made if need be.",
        ),
    ]


class Signal(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something for the others in the room: an offer, an answer, a candidate."""

    to: Annotated[
        PeerNumber | None, Meta(description="The peer that it is for; null: all others.")
    ] = None
    data: Annotated[msgspec.Raw, Meta(description="Any JSON; is passed on as it is.")] = field(
        default_factory=lambda: msgspec.Raw(b"null")
    )


class RoomEvent(Struct, frozen=True, kw_only=True):
    """What happened in the room."""

    kind: Annotated[
        Literal["welcome", "joined", "left", "signal"],
        Meta(description="welcome: you are in, as `peer`, with `peers`."),
    ]
    peer: Annotated[PeerNumber, Meta(description="Who joined, left or sent; in welcome: you.")]
    peers: Annotated[list[PeerNumber], Meta(description="In welcome: who else is there.")] = []
    data: Annotated[msgspec.Raw, Meta(description="In signal: what was sent.")] = field(
        default_factory=lambda: msgspec.Raw(b"null")
    )
