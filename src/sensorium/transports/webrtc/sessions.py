"""The sessions of a server: how many there may be, whose each is, and when it ends by itself."""

import asyncio
import secrets
from importlib.util import find_spec
from typing import Protocol

from sensorium.core.dispatch import Dispatcher, Principal
from sensorium.core.errors import (
    NotFoundError,
    OverloadedError,
    SensoriumError,
    UnauthenticatedError,
    UnavailableError,
)
from sensorium.core.loading import how_to_install, load
from sensorium.transports.webrtc.schema import (
    CandidateRequest,
    IceServer,
    OfferAnswer,
    SessionEntry,
)
from sensorium.transports.webrtc.settings import WebRtcSettings

SWEEP_S = 1.0
LIBRARY = "aiortc"


class Session(Protocol):
    """One connection."""

    principal: Principal

    async def answer(self, sdp: str) -> str:
        """The answer to an offer."""

    async def add_candidate(self, request: CandidateRequest) -> None:
        """Take up an address of the peer."""

    def entry(self) -> SessionEntry:
        """How it is."""

    async def finish(self) -> None:
        """Begin no more calls, and return when those that run have ended."""

    async def close(self, why: SensoriumError | None = None) -> None:
        """End it; what it still runs is stopped, and told `why`."""


class Sessions:
    """Opens, finds and ends sessions. Nothing is served before `serve` was called."""

    def __init__(self, dispatcher: Dispatcher, settings: WebRtcSettings) -> None:
        self._dispatcher = dispatcher
        self._settings = settings
        self._sessions: dict[str, Session] = {}
        self._served = False
        self._draining = False
        self._sweeper: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._sessions)

    @property
    def ice_servers(self) -> list[IceServer]:
        """The STUN and TURN servers, for a browser."""
        settings = self._settings
        return [
            IceServer(
                urls=url,
                username=settings.webrtc_ice_username,
                credential=settings.webrtc_ice_credential.reveal(),
            )
            for url in settings.webrtc_ice_servers
        ]

    def serve(self) -> None:
        """Take offers from now on.

        Raises:
            UnavailableError: the library is not installed; says how to get it.
        """
        if find_spec(LIBRARY) is None:
            raise UnavailableError(f"{LIBRARY} is not installed: {how_to_install(LIBRARY)}")
        self._served = True

    async def open(self, sdp: str, principal: Principal) -> OfferAnswer:
        """Answer an offer with a session; errors as for the operation `webrtc.offer`."""
        self._check()
        make = await asyncio.to_thread(load, "sensorium.transports.webrtc.session:PeerSession")
        self._check()  # others came meanwhile; from here to its place nobody does
        name = secrets.token_urlsafe(16)
        session: Session = make(
            name,
            self._dispatcher,
            principal,
            self.ice_servers,
            lambda: self._sessions.pop(name, None),
        )
        self._sessions[name] = session
        if self._sweeper is None:
            self._sweeper = asyncio.create_task(self._sweep())
        try:
            answer = await session.answer(sdp)
            self._check_served()
        except BaseException:
            await session.close()
            raise
        return OfferAnswer(session=name, sdp=answer)

    def of(self, name: str, principal: Principal) -> Session:
        """A session of somebody's.

        Raises:
            NotFoundError: they have none of that name.
        """
        session = self._sessions.get(name)
        if session is None or session.principal.id != principal.id:
            raise NotFoundError("there is no such session; it may have ended")
        return session

    def all_of(self, principal: Principal) -> list[Session]:
        """The sessions of somebody, oldest first."""
        mine = (each for each in self._sessions.values() if each.principal.id == principal.id)
        return list(mine)

    async def finish(self) -> None:
        """Take no more offers and calls, and return when the calls that run have ended."""
        self._draining = True
        await asyncio.gather(*(each.finish() for each in list(self._sessions.values())))

    async def close(self) -> None:
        """End every session, and tell their peers why."""
        self._draining = True
        if self._sweeper is not None:
            self._sweeper.cancel()
        why = UnavailableError("the server is stopping; connect again in a moment")
        ending = (each.close(why) for each in list(self._sessions.values()))
        await asyncio.gather(*ending, return_exceptions=True)

    def _check(self) -> None:
        self._check_served()
        if len(self._sessions) >= self._settings.webrtc_max_sessions:
            raise OverloadedError("there are as many sessions as there may be", retry_after_s=5.0)

    def _check_served(self) -> None:
        if not self._served:
            raise UnavailableError("WebRTC is not served here: sensorium serve --mode web")
        if self._draining:
            raise UnavailableError("the server is stopping; connect again in a moment")

    async def _sweep(self) -> None:
        """End what did not connect in time, what nobody uses, and what has no key any more."""
        ending: set[asyncio.Task[None]] = set()
        while True:
            await asyncio.sleep(SWEEP_S)
            for session in list(self._sessions.values()):
                if self._is_over(session):
                    task = asyncio.create_task(session.close())
                    ending.add(task)
                    task.add_done_callback(ending.discard)

    def _is_over(self, session: Session) -> bool:
        settings, entry = self._settings, session.entry()
        late = entry.state == "connecting" and entry.age_s > settings.webrtc_connect_s
        try:
            self._dispatcher.renew(session.principal)
        except UnauthenticatedError:
            return True
        except SensoriumError:  # nobody knows at the moment
            pass
        return late or entry.idle_s > settings.webrtc_idle_s
