"""WebRTC as a driver: the envelope over the data channel of one aiortc peer."""

import asyncio
import itertools
from collections.abc import Callable

from sensorium.core.operation import Operation
from tests.conformance import drivers
from tests.conformance.driver import FULL, Call, Outcome
from tests.conformance.samples import BadRequest
from tests.webrtc.peer import Peer


class WebRtcDriver(drivers._ServerDriver):
    """WebRTC: all calls share a session, whose key is that of its offer."""

    name = "webrtc"
    keyless = True

    def __init__(self, url: str, process_id: int) -> None:
        super().__init__(url, process_id)
        self.peer: Callable[[], Peer] = Peer
        self._numbers = itertools.count(1)
        self._connection: drivers._Connection | None = None
        self._opening = asyncio.Lock()

    async def call(self, call: Call) -> Outcome:
        number = next(self._numbers)
        message = drivers.enveloped(number, call)
        return await (await self._connected()).call(call, number, message)

    async def load(self) -> float:
        await self._connected()  # its offer is a call of its own
        return await super().load()

    def carries(self, operation: Operation, bad: BadRequest) -> bool:
        return bad.kind not in ("unreadable", "deep")  # no message of any call

    def carries_item(self, operation: Operation, bad: BadRequest) -> bool:
        return bad.kind not in ("unreadable", "deep") and bad.body != b"null"

    async def close(self) -> None:
        if self._connection is not None:
            await self._connection.close()
        await super().close()

    async def _connected(self) -> drivers._Connection:
        async with self._opening:
            if self._connection is None:
                self._http.headers["authorization"] = f"Bearer {FULL}"
                self._connection = drivers._Connection(await self.peer().connect(self._http))
        return self._connection
