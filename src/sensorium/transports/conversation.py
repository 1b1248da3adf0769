"""One connection's calls: the server's end of the envelope."""

import asyncio
import logging
import os
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager
from typing import Protocol

import msgspec
from msgspec import Raw, Struct, field

from sensorium.core.dispatch import (
    Answer,
    Caller,
    Dispatcher,
    Encoded,
    Payload,
    Principal,
    Priority,
)
from sensorium.core.errors import (
    CancelledCallError,
    ConflictError,
    InvalidInputError,
    NotSupportedError,
    OverloadedError,
    SensoriumError,
    UnavailableError,
)
from sensorium.core.operation import Kind, Operation
from sensorium.transports.envelope import EMPTY, CallId, Incoming, Outgoing, decode, id_of

log = logging.getLogger("sensorium.envelope")
MAX_CALLS = 256
"""Calls that one connection may have in flight."""
MAX_WAITING_BYTES = 64 << 20
"""Items that may wait, all calls of a connection together. The reader never waits for a slow call,
because the messages behind it may be for others, or cancel this one; so a sender that is so far
ahead is refused instead."""
MAX_WAITING_MEDIA = 4 << 20
"""Pictures and sound that may wait for a call; those that come meanwhile are left out."""
ITEM_BYTES = 128
"""What an item costs beside its own bytes."""
REMEMBERED = 1024


class Tracks(Protocol):
    """The pictures and sound that a connection carries beside its messages."""

    def feed(
        self, operation: Operation, put: Callable[[Struct, int], None], end: Callable[[], None]
    ) -> Callable[[], None]:
        """Give `put` what comes, with its size in bytes, until what is returned is called.

        `end` is called when nothing comes any more.

        Raises:
            NotSupportedError: the operation takes neither pictures nor sound.
            InvalidInputError: there are no tracks.
        """

    def shows(self, operation: Operation) -> bool:
        """Whether pictures that it answers with go out as video."""

    def show(self, operation: Operation, answer: Answer) -> Answer:
        """The answer of one that `shows`, without the picture, which goes out as video."""


class _Call(Struct):
    items: asyncio.Queue[bytes | tuple[Struct, int] | None] = field(default_factory=asyncio.Queue)
    """What was sent to it, and what came from tracks with its size; None at the end."""
    waiting_bytes: int = 0
    waiting_media: int = 0
    task: "asyncio.Task[None] | None" = None
    heard_all: bool = False
    ending: SensoriumError | None = None
    """Why it was stopped, where its caller still listens."""

    def put(self, item: bytes) -> None:
        self.waiting_bytes += len(item) + ITEM_BYTES
        self.items.put_nowait(item)

    def put_from_track(self, item: Struct, size: int) -> None:
        """Take up an item; where the call does not keep up, it is left out."""
        if not self.waiting_media or self.waiting_media + size <= MAX_WAITING_MEDIA:
            self.waiting_media += size
            self.items.put_nowait((item, size))

    async def taken(self) -> AsyncIterator[Payload | None]:
        """The items, as they are taken; None for a sign of life."""
        while (item := await self.items.get()) is not None:
            if isinstance(item, bytes):
                self.waiting_bytes -= len(item) + ITEM_BYTES
                yield None if item == b"null" else Encoded(item)
            else:
                self.waiting_media -= item[1]
                yield item[0]

    def end(self) -> None:
        """Take up no more items."""
        if not self.heard_all:
            self.heard_all = True
            self.items.put_nowait(None)

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
        self,
        dispatcher: Dispatcher,
        identify: Callable[[], Principal],
        door: str,
        send: Send,
        tracks: Tracks | None = None,
    ) -> None:
        self._tracks = tracks
        self._dispatcher = dispatcher
        self._identify = identify
        self._door = door
        self._send = send
        self._calls: dict[CallId, _Call] = {}
        self._live: set[asyncio.Task[None]] = set()
        """What still has something to say, were it only its last answer."""
        self._ended: deque[CallId] = deque(maxlen=REMEMBERED)
        self._finishing = False
        self.last_used = time.monotonic()
        """When a call began or ended last."""

    async def hear(self, message: bytes | str) -> None:
        """Take up one message; whatever is wrong with it is answered, and nothing is raised."""
        call_id: CallId | None = None
        try:
            incoming = decode(message)
            call_id = incoming.id
            if incoming.op is not None:
                await self._begin(incoming, incoming.op)
            else:
                self._continue(incoming)
        except SensoriumError as error:
            known = id_of(message) if call_id is None else call_id
            await self._answer(Outgoing(known, error=error.body()))

    @property
    def busy(self) -> bool:
        """Whether a call runs."""
        return bool(self._live)

    async def finish(self) -> None:
        """Begin no more calls, and return when those that run have ended."""
        self._finishing = True
        while self._live:
            await asyncio.wait(self._live)

    async def close(self, why: SensoriumError | None = None) -> None:
        """Stop what still runs; with `why`, the client is told. Without, it is gone."""
        for call in self._calls.values():
            call.stop(why)
        await asyncio.gather(*self._live, return_exceptions=True)

    async def _begin(self, incoming: Incoming, name: str) -> None:
        if incoming.id in self._calls:
            raise ConflictError("a call with this id is still running on this connection")
        if self._finishing:
            raise UnavailableError("the server is stopping; connect again in a moment")
        if len(self._live) >= MAX_CALLS:
            raise OverloadedError(
                f"one connection may have {MAX_CALLS} calls in flight", retry_after_s=1.0
            )
        self.last_used = time.monotonic()
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
            call.end()
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
        try:
            caller.principal = self._identify()
            operation = self._dispatcher.registry.get(name)
            with self._fed(call, incoming, operation, caller):
                last = await self._serve(call, incoming, operation, caller)
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
            self.last_used = time.monotonic()
        await self._answer(last)

    async def _serve(
        self, call: _Call, incoming: Incoming, operation: Operation, caller: Caller
    ) -> Outgoing:
        """Run a call; returns its last message."""
        payload = Encoded(bytes(incoming.data))
        if operation.kind is Kind.UNARY:
            answer = await self._dispatcher.call(operation.name, payload, caller)
            return Outgoing(incoming.id, data=Raw(answer.json()))
        items = call.taken() if operation.kind is Kind.DUPLEX else None
        answers = self._dispatcher.stream(operation.name, payload, caller, items)
        async with aclosing(answers):
            async for answer in answers:
                if not caller.answer_type and self._tracks is not None:
                    answer = self._tracks.show(operation, answer)
                await self._answer(Outgoing(incoming.id, chunk=Raw(answer.json())))
        return Outgoing(incoming.id, end=EMPTY)

    @contextmanager
    def _fed(
        self, call: _Call, incoming: Incoming, operation: Operation, caller: Caller
    ) -> Iterator[None]:
        """Feed a call from the connection's tracks, where it asks for that."""
        if not incoming.tracks:
            yield
            return
        if self._tracks is None or operation.kind is not Kind.DUPLEX:
            raise NotSupportedError("tracks feed a call that listens, over WebRTC")
        stop = self._tracks.feed(operation, call.put_from_track, call.end)
        if self._tracks.shows(operation):
            caller.answer_type = ""  # its picture is taken out before it is encoded
        try:
            yield
        finally:
            stop()

    async def _answer(self, message: Outgoing) -> None:
        await self._send(msgspec.json.encode(message))
