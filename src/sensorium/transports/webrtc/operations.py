"""The `webrtc` operations: connections to this server, and rooms in which two browsers meet."""

from collections.abc import AsyncIterator

import msgspec

from sensorium.core.dispatch import Caller
from sensorium.core.operation import Context, Execution, operation
from sensorium.core.types import Nothing
from sensorium.transports.webrtc.rooms import Rooms
from sensorium.transports.webrtc.schema import (
    CandidateRequest,
    CloseRequest,
    Done,
    IceServers,
    JoinRequest,
    OfferAnswer,
    OfferRequest,
    RoomEvent,
    SessionList,
    Signal,
)
from sensorium.transports.webrtc.sessions import Sessions

FINGERPRINT = ":".join(["AB"] * 32)
EXAMPLE_OFFER = "\r\n".join(
    (
        "v=0",
        "o=- 1 1 IN IP4 127.0.0.1",
        "s=-",
        "t=0 0",
        "a=group:BUNDLE 0",
        "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
        "c=IN IP4 0.0.0.0",
        "a=ice-ufrag:abcd",
        "a=ice-pwd:abcdefghijklmnopqrstuvwx",
        f"a=fingerprint:sha-256 {FINGERPRINT}",
        "a=setup:actpass",
        "a=mid:0",
        "a=sctp-port:5000",
        "a=max-message-size:262144",
        "",
    )
)


@operation(
    "webrtc.offer",
    execution=Execution.ASYNC,
    changes=True,
    example=OfferRequest(sdp=EXAMPLE_OFFER),
)
async def offer(request: OfferRequest, context: Context) -> OfferAnswer:
    """Connect a peer: its data channels carry the envelope, so every call works over them.

    Raises:
        InvalidInputError: the description makes no sense, or offers no codec that is served.
        OverloadedError: there are as many sessions as there may be.
        UnavailableError: WebRTC is not served here.
    """
    return await context.get(Sessions).open(request.sdp, context.get(Caller).principal)


@operation(
    "webrtc.candidate",
    execution=Execution.ASYNC,
    changes=True,
    example=CandidateRequest(session="none"),
)
async def candidate(request: CandidateRequest, context: Context) -> Done:
    """One more address of a peer that made an offer; the last one is empty.

    Raises:
        NotFoundError: the caller has no such session.
        InvalidInputError: the candidate makes no sense.
    """
    session = context.get(Sessions).of(request.session, context.get(Caller).principal)
    await session.add_candidate(request)
    return Done()


@operation(
    "webrtc.close",
    execution=Execution.ASYNC,
    changes=True,
    example=CloseRequest(session="none"),
)
async def close(request: CloseRequest, context: Context) -> Done:
    """End a session; what it still runs is stopped.

    Raises:
        NotFoundError: the caller has no such session.
    """
    session = context.get(Sessions).of(request.session, context.get(Caller).principal)
    await session.close()
    return Done()


@operation("webrtc.sessions", execution=Execution.ASYNC, example=Nothing())
async def sessions(request: Nothing, context: Context) -> SessionList:
    """The caller's sessions."""
    del request
    found = context.get(Sessions).all_of(context.get(Caller).principal)
    return SessionList(sessions=[each.entry() for each in found])


@operation("webrtc.ice_servers", execution=Execution.ASYNC, example=Nothing())
async def ice_servers(request: Nothing, context: Context) -> IceServers:
    """The STUN and TURN servers that a browser is to use; from the settings."""
    del request
    return IceServers(ice_servers=context.get(Sessions).ice_servers)


@operation(
    "webrtc.join",
    execution=Execution.ASYNC,
    example=JoinRequest(room="example"),
    incoming_example=(Signal(data=msgspec.Raw(b'{"type":"offer"}')),),
    deadline_s=600.0,
)
async def join(
    request: JoinRequest, incoming: AsyncIterator[Signal], context: Context
) -> AsyncIterator[RoomEvent]:
    """Be in a room, and pass signals to and from the others: how two browsers meet.

    Raises:
        OverloadedError: the room is full, there are too many, or this peer does not keep up.
    """
    async for event in context.get(Rooms).join(request.room, incoming):
        yield event
