"""The envelope: many calls at once over one connection that carries messages both ways.

    {"id": 1, "op": "logs.cluster", "data": {…}}   begin a call; also "priority", "deadline_s"
    {"id": 1, "chunk": {…}}, {"id": 1, "end": {}}  items for a call that listens; a chunk of null
                                                   is a sign of life
    {"id": 1, "cancel": true}                      stop it

and back `{"id": 1, "data": {…}}`, or `{"id": 1, "chunk": {…}}` … `{"id": 1, "end": {}}`, or
`{"id": 1, "error": {"code": …, "message": …, "details": …}}`: exactly one end for every call.
"""

import asyncio
import logging
import os
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Raw, Struct

from sensorium.core.dispatch import Caller, Dispatcher, Encoded, Principal, Priority
from sensorium.core.errors import (
    CancelledCallError,
    ConflictError,
    ErrorBody,
    InvalidInputError,
    MalformedInputError,
    OverloadedError,
    SensoriumError,
    UnavailableError,
)
from sensorium.core.operation import Kind

MAX_CALLS = 256
"""Calls that one connection may have in flight."""
MAX_WAITING_BYTES = 64 << 20
"""Items that may wait, all calls of a connection together. The reader never waits for a slow call,
because the messages behind it may be for others, or cancel this one; so a sender that is so far
ahead is refused instead."""
ITEM_BYTES = 128
"""What an item costs beside its own bytes."""
REMEMBERED = 1024
log = logging.getLogger("sensorium.envelope")

CallId = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] | Annotated[str, Meta(max_length=128)]


_ABSENT = Raw()
_EMPTY = Raw(b"{}")


class _Id(Struct):
    """What is read of a message that is otherwise wrong, to say which one it was."""

    id: CallId


class Incoming(Struct, forbid_unknown_fields=True):
    """A message from the client."""

    id: CallId
    op: Annotated[str, Meta(max_length=128)] | None = None
    data: Raw = _ABSENT
    chunk: Raw = _ABSENT
    end: Raw = _ABSENT
    cancel: bool = False
    priority: Literal["interactive", "batch"] = "interactive"
    deadline_s: Annotated[float, Meta(gt=0, le=86_400)] | None = None
    idempotency_key: Annotated[str, Meta(max_length=256)] | None = None


class Outgoing(Struct, omit_defaults=True):
    """A message to the client."""

    id: CallId | None
    data: Raw = _ABSENT
    chunk: Raw = _ABSENT
    end: Raw = _ABSENT
    error: ErrorBody | None = None


@dataclass(slots=True)
class _Call:
    items: asyncio.Queue[bytes | None] = field(default_factory=asyncio.Queue)
    """What was sent to it; None at the end."""
    waiting_bytes: int = 0
    task: "asyncio.Task[None] | None" = None
    ending: SensoriumError | None = None
    """Why it was stopped, where its caller still listens."""

    def put(self, item: bytes) -> None:
        self.waiting_bytes += len(item) + ITEM_BYTES
        self.items.put_nowait(item)

    async def taken(self) -> AsyncIterator[Encoded | None]:
        """The items, as they are taken; None for a sign of life."""
        while (item := await self.items.get()) is not None:
            self.waiting_bytes -= len(item) + ITEM_BYTES
            yield None if item == b"null" else Encoded(item)

    def stop(self, why: SensoriumError | None) -> None:
        self.ending = why
        if self.task is not None:
            self.task.cancel()


Send = Callable[[bytes], Awaitable[None]]


class Conversation:
    """One connection's calls.

    `identify` says whose they are: anew for each, because a key may be revoked while the
    connection lasts. `send` writes one message and may wait while the client is slow.
    """

    def __init__(
        self, dispatcher: Dispatcher, identify: Callable[[], Principal], door: str, send: Send
    ) -> None:
        self._dispatcher = dispatcher
        self._identify = identify
        self._door = door
        self._send = send
        self._calls: dict[CallId, _Call] = {}
        self._live: set[asyncio.Task[None]] = set()
        """What still has something to say, were it only its last answer."""
        self._decoder = msgspec.json.Decoder(Incoming)
        self._ended: deque[CallId] = deque(maxlen=REMEMBERED)
        self._finishing = False

    async def hear(self, message: bytes | str) -> None:
        """Take up one message; whatever is wrong with it is answered, and nothing is raised."""
        call_id: CallId | None = None
        try:
            incoming = _decode(self._decoder, message)
            call_id = incoming.id
            if incoming.op is not None:
                await self._begin(incoming, incoming.op)
            else:
                self._continue(incoming)
        except SensoriumError as error:
            known = _id_of(message) if call_id is None else call_id
            await self._answer(Outgoing(known, error=error.body()))

    async def finish(self) -> None:
        """Begin no more calls, and return when those that run have ended."""
        self._finishing = True
        while tasks := self._tasks():
            await asyncio.wait(tasks)

    async def close(self, why: SensoriumError | None = None) -> None:
        """Stop what still runs; with `why`, the client is told. Without, it is gone."""
        tasks = self._tasks()
        for call in self._calls.values():
            call.stop(why)
        await asyncio.gather(*tasks, return_exceptions=True)

    def _tasks(self) -> "list[asyncio.Task[None]]":
        return list(self._live)

    async def _begin(self, incoming: Incoming, name: str) -> None:
        if incoming.id in self._calls:
            raise ConflictError("a call with this id is still running on this connection")
        if self._finishing:
            raise UnavailableError("the server is stopping; connect again in a moment")
        if len(self._live) >= MAX_CALLS:
            raise OverloadedError(
                f"one connection may have {MAX_CALLS} calls in flight", retry_after_s=1.0
            )
        call = self._calls[incoming.id] = _Call()
        call.task = asyncio.create_task(self._run(call, incoming, name))
        self._live.add(call.task)
        call.task.add_done_callback(self._live.discard)
        await asyncio.sleep(0)  # a task that is cancelled before it began would never answer

    def _continue(self, incoming: Incoming) -> None:
        call = self._calls.get(incoming.id)
        if call is None:
            if incoming.id in self._ended:
                return  # it ended by itself while this was on its way
            raise InvalidInputError("there is no call with this id, and the message begins none")
        if incoming.cancel:
            call.stop(CancelledCallError())
        elif bytes(incoming.chunk):
            self._put(call, bytes(incoming.chunk))
        elif bytes(incoming.end):
            call.items.put_nowait(None)
        else:
            raise InvalidInputError("a message holds op, chunk, end or cancel")

    def _put(self, call: _Call, item: bytes) -> None:
        waiting = sum(each.waiting_bytes for each in self._calls.values())
        if waiting + len(item) > MAX_WAITING_BYTES:
            call.stop(OverloadedError("items come faster than they are taken; send them slower"))
        else:
            call.put(item)

    async def _run(self, call: _Call, incoming: Incoming, name: str) -> None:
        caller = Caller(
            request_id=os.urandom(8).hex(),
            door=self._door,
            deadline_s=incoming.deadline_s,
            priority=Priority(incoming.priority),
            idempotency_key=incoming.idempotency_key,
        )
        payload = Encoded(bytes(incoming.data))
        try:
            caller.principal = self._identify()
            last = await self._serve(call, incoming.id, name, payload, caller)
        except SensoriumError as error:
            last = Outgoing(incoming.id, error=error.body())
        except Exception:
            log.exception("a call failed")
            last = Outgoing(incoming.id, error=SensoriumError().body())
        except asyncio.CancelledError:
            if call.ending is None:
                raise
            last = Outgoing(incoming.id, error=call.ending.body())
        finally:
            del self._calls[incoming.id]
            self._ended.append(incoming.id)
        await self._answer(last)

    async def _serve(
        self, call: _Call, call_id: CallId, name: str, payload: Encoded, caller: Caller
    ) -> Outgoing:
        """Run a call; returns its last message."""
        operation = self._dispatcher.registry.get(name)
        if operation.kind is Kind.UNARY:
            answer = await self._dispatcher.call(name, payload, caller)
            return Outgoing(call_id, data=Raw(answer.json()))
        items = call.taken() if operation.kind is Kind.DUPLEX else None
        answers = self._dispatcher.stream(name, payload, caller, items)
        async with aclosing(answers):
            async for answer in answers:
                await self._answer(Outgoing(call_id, chunk=Raw(answer.json())))
        return Outgoing(call_id, end=_EMPTY)

    async def _answer(self, message: Outgoing) -> None:
        await self._send(msgspec.json.encode(message))


def _id_of(message: bytes | str) -> CallId | None:
    try:
        return msgspec.json.decode(message, type=_Id).id
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None


def _decode(decoder: msgspec.json.Decoder[Incoming], message: bytes | str) -> Incoming:
    try:
        return decoder.decode(message)
    except msgspec.ValidationError as error:
        raise InvalidInputError(f"not an envelope: {error}") from None
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise MalformedInputError("the message is not JSON") from None
