"""One HTTP request and its response, as the door handles them."""

import asyncio
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qsl

from sensorium.core.codec import PROTOBUF
from sensorium.core.dispatch import Caller, Encoded, Principal, Priority
from sensorium.core.errors import (
    CancelledCallError,
    DeadlineExceededError,
    InvalidInputError,
    MalformedInputError,
    NotSupportedError,
    SensoriumError,
    UnavailableError,
)
from sensorium.core.within import Within
from sensorium.transports.http.problems import MEDIA_TYPE, problem

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

JSON = b"application/json"
SMALL = 64 << 10
MAX_FIELDS = 100
MAX_KEY = 256
UNWATCHED_S = 0.02
"""So long a call runs before somebody watches whether its client leaves. Most are over by then,
and a task for each would be a good part of what they cost."""
_REQUEST_ID = re.compile(rb"[\w.:-]{1,128}")


class ClientGoneError(CancelledCallError):
    """Nobody is there to answer any more."""


def stopping() -> SensoriumError:
    """What a call is told that the stopping server could not finish."""
    return UnavailableError("the server is stopping; try again in a moment", retry_after_s=1.0)


class Exchange:
    """A request: its headers by name, its body when asked for, and the way to answer it."""

    __slots__ = (
        *("_body_read", "_receive", "_send", "_timeout_s"),
        *("always", "headers", "request_id", "scope", "started"),
    )

    def __init__(self, scope: Scope, receive: Receive, send: Send, timeout_s: float) -> None:
        self.scope = scope
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        given = self.headers.get(b"x-request-id", b"")
        known = _REQUEST_ID.fullmatch(given) is not None
        self.request_id = given.decode("ascii") if known else os.urandom(8).hex()
        self.always: Headers = [(b"x-request-id", self.request_id.encode())]
        """The headers of whatever answers it."""
        self.started = False
        self._receive = receive
        self._send = send
        self._timeout_s = timeout_s
        self._body_read = asyncio.Event()

    @property
    def method(self) -> str:
        """`GET`, `POST` and so on."""
        method: str = self.scope["method"]
        return method

    def header(self, name: bytes) -> str:
        """A header's value, or an empty string."""
        return self.headers.get(name, b"").decode("latin-1")

    def credential(self) -> str | None:
        """The API key that the request carries."""
        scheme, _, token = self.header(b"authorization").partition(" ")
        if scheme.lower() == "bearer" and token:
            return token.strip()
        return self.header(b"x-api-key") or None

    def caller(self, principal: Principal) -> Caller:
        """Who calls and how, as the headers say.

        Raises:
            InvalidInputError: X-Priority, X-Deadline-S or Idempotency-Key makes no sense.
        """
        caller = Caller(principal, self.request_id, "http")
        headers = self.headers
        if b"x-priority" in headers:
            caller.priority = _priority(self.header(b"x-priority"))
        if b"x-deadline-s" in headers:
            caller.deadline_s = _seconds(self.header(b"x-deadline-s"))
        if b"traceparent" in headers:
            caller.trace_parent = self.header(b"traceparent")[:128]
        if key := self.header(b"idempotency-key"):
            if len(key) > MAX_KEY:
                raise InvalidInputError(f"an idempotency key has at most {MAX_KEY} characters")
            caller.idempotency_key = key
        return caller

    def fields(self) -> dict[str, str]:
        """The query string."""
        query = self.scope["query_string"]
        if not query:
            return {}
        try:
            return dict(
                parse_qsl(query.decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS)
            )
        except ValueError:
            raise InvalidInputError("the query string is unreadable, or has too many fields") from (
                None
            )

    async def payload(
        self, media_type: str | None = None, fields: dict[str, str] | None = None
    ) -> Encoded:
        """The body, whole where it is small, in pieces still to come where it is not.

        `media_type` and `fields` are what an address of its own makes of it; without them they
        are the header's and the query string's.
        """
        if self.header(b"content-type").partition(";")[0].strip() == PROTOBUF:
            raise NotSupportedError("messages of protocol buffers go over gRPC; HTTP takes JSON")
        size = self._announced_size()
        body: bytes | AsyncIterator[bytes] = b""
        if size == 0:
            self._body_read.set()
        elif size is None or size > SMALL:
            body = self.pieces()
        else:
            body = await self._small_body()
        return Encoded(
            body,
            size,
            self.header(b"content-type") if media_type is None else media_type,
            self.header(b"content-encoding"),
            self.fields() if fields is None else fields,
        )

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body, piece by piece; errors as for `receive`."""
        while not self._body_read.is_set():
            yield (await self.receive()).get("body", b"")

    async def receive(self) -> Message:
        """The next message (ASGI), also for another application that answers in our place.

        Raises:
            ClientGoneError: the client left in the middle of the body.
            DeadlineExceededError: the body's next bytes did not come in time.
        """
        if self._body_read.is_set():
            return await self._receive()
        try:
            with Within(self._timeout_s):
                message = await self._receive()
        except TimeoutError:
            raise DeadlineExceededError("the request's body did not come in time") from None
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        if not message.get("more_body", False):
            self._body_read.set()
        return message

    def while_connected(self) -> "_WhileConnected":
        """Cancel what is inside when the client leaves.

        While the body still arrives, whoever reads it notices; after that, this does.

        Raises:
            ClientGoneError: it left.
            UnavailableError: the server stops, and has waited as long as it may.
        """
        return _WhileConnected(self._until_gone)

    async def _until_gone(self) -> None:
        await self._body_read.wait()
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def forward(self, message: Message) -> None:
        """Send a message of another application that answers in our place."""
        self.started = self.started or message["type"] == "http.response.start"
        await self._send(message)

    async def start(self, status: int, headers: Headers) -> None:
        """Send the status line and headers."""
        self.started = True
        headers += self.always
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def write(self, body: bytes, *, more: bool) -> None:
        """Send bytes of the body; waits while the client is slow to read."""
        await self._send({"type": "http.response.body", "body": body, "more_body": more})

    async def answer(
        self, status: int, media_type: bytes, body: bytes, headers: Headers | None = None
    ) -> None:
        """Send a whole response."""
        length = str(len(body)).encode()
        usual = [(b"content-type", media_type), (b"content-length", length)]
        await self.start(status, usual + (headers or []))
        await self.write(b"" if self.method == "HEAD" else body, more=False)

    async def fail(self, error: SensoriumError) -> None:
        """Send an error, unless a response has begun or nobody is there."""
        if not self.started and not isinstance(error, ClientGoneError):
            status, headers, body = problem(error, self.request_id)
            await self.answer(status, MEDIA_TYPE, body, headers)

    async def _small_body(self) -> bytes:
        """The whole of it, which seldom comes in two pieces."""
        first: bytes = (await self.receive()).get("body", b"")
        if self._body_read.is_set():
            return first
        return b"".join([first, *[piece async for piece in self.pieces()]])

    def _announced_size(self) -> int | None:
        """How many bytes the body has; None where it comes in chunks of unknown number."""
        length = self.headers.get(b"content-length")
        if length is None:
            return None if b"transfer-encoding" in self.headers else 0
        if not length.isdigit() or len(length) > 18:
            raise MalformedInputError("Content-Length is not a number")
        return int(length)


class _WhileConnected:
    """`Exchange.while_connected`. A plain class: it is entered for every call."""

    __slots__ = ("_gone", "_task", "_timer", "_until_gone", "_watcher")

    def __init__(self, until_gone: Callable[[], Awaitable[None]]) -> None:
        self._until_gone = until_gone
        self._gone = False
        self._watcher: asyncio.Task[None] | None = None

    def __enter__(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._task: asyncio.Task[Any] = task
        self._timer = task.get_loop().call_later(UNWATCHED_S, self._begin)

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        self._timer.cancel()
        if self._watcher is not None:
            self._watcher.cancel()
        if kind is not None and issubclass(kind, asyncio.CancelledError):
            self._task.uncancel()
            raise ClientGoneError if self._gone else stopping() from None

    def _begin(self) -> None:
        self._watcher = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        await self._until_gone()
        self._gone = True
        self._task.cancel()


def _priority(text: str) -> Priority:
    try:
        return Priority(text.lower())
    except ValueError:
        raise InvalidInputError("X-Priority is 'interactive' or 'batch'") from None


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= 86_400:
        raise InvalidInputError("X-Deadline-S is a number of seconds, above 0")
    return seconds
