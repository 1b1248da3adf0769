"""Dispatchers that are broken on purpose, for the suite to find out."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator

import msgspec

from sensorium.core.codec import PROTOBUF
from sensorium.core.dispatch import Answer, Caller, Dispatcher, Payload, Principal
from sensorium.core.errors import ConflictError, SensoriumError
from sensorium.core.registry import Registry


class Faithful:
    """A dispatcher that hands everything on; the broken ones change one thing of it."""

    def __init__(self, inner: Dispatcher) -> None:
        self._inner = inner

    @property
    def registry(self) -> Registry:
        return self._inner.registry

    def identify(self, credential: str | None) -> Principal:
        return self._inner.identify(credential)

    def renew(self, principal: Principal) -> Principal:
        return self._inner.renew(principal)

    def authorise(self, principal: Principal, name: str) -> None:
        self._inner.authorise(principal, name)

    async def call(self, name: str, payload: Payload, caller: Caller) -> Answer:
        return await self._inner.call(name, payload, caller)

    async def stream(
        self,
        name: str,
        payload: Payload,
        caller: Caller,
        incoming: AsyncIterator[Payload] | None = None,
    ) -> AsyncGenerator[Answer, None]:
        items = self._inner.stream(name, payload, caller, incoming)
        try:
            async for item in items:
                yield item
        finally:
            await items.aclose()


class DropsAField(Faithful):
    """Loses the last field of every answer."""

    async def call(self, name: str, payload: Payload, caller: Caller) -> Answer:
        answer = await super().call(name, payload, caller)
        if caller.answer_type == PROTOBUF:
            return Answer()  # a message without fields
        fields = msgspec.json.decode(answer.json(), type=dict[str, msgspec.Raw])
        fields.popitem()
        return Answer(encoded=msgspec.json.encode(fields))


class SwapsAnswers(Faithful):
    """Gives two calls that run at the same time each other's answer."""

    _held: "tuple[Answer, asyncio.Future[Answer]] | None" = None

    async def call(self, name: str, payload: Payload, caller: Caller) -> Answer:
        mine = await super().call(name, payload, caller)
        if self._held is not None:
            theirs, waiting = self._held
            self._held = None
            waiting.set_result(mine)
            return theirs
        other: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._held = (mine, other)
        await asyncio.wait({other}, timeout=0.1)
        if other.done():
            return other.result()
        self._held = None
        return mine


class IgnoresCancel(Faithful):
    """Lets a call go on that nobody waits for."""

    async def call(self, name: str, payload: Payload, caller: Caller) -> Answer:
        return await asyncio.shield(asyncio.ensure_future(super().call(name, payload, caller)))


class NeverEnds(Faithful):
    """Sends every item of a stream, and then neither an end nor anything else."""

    async def stream(
        self,
        name: str,
        payload: Payload,
        caller: Caller,
        incoming: AsyncIterator[Payload] | None = None,
    ) -> AsyncGenerator[Answer, None]:
        async for item in super().stream(name, payload, caller, incoming):
            yield item
        await asyncio.Event().wait()


class SaysAnotherCode(Faithful):
    """Calls every error a conflict."""

    async def call(self, name: str, payload: Payload, caller: Caller) -> Answer:
        try:
            return await super().call(name, payload, caller)
        except SensoriumError as error:
            raise ConflictError(error.message, details=error.details) from None
