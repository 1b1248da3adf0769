"""The one boundary between doors and operations, and its in-memory twin."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass, field
from enum import Enum
from fnmatch import fnmatchcase
from typing import Protocol, TypeVar

import msgspec
from msgspec import Struct

from sensorium.core.errors import InvalidInputError
from sensorium.core.registry import Registry

R = TypeVar("R")
MAX_STEPS = 2000


class Priority(Enum):
    """Who goes first where calls wait."""

    INTERACTIVE = "interactive"
    BATCH = "batch"


@dataclass(frozen=True, slots=True)
class Principal:
    """Who calls: the id of an API key, and what it may do."""

    id: str
    operations: tuple[str, ...] = ("*",)
    """Names or patterns such as `logs.*`."""
    rate_per_s: float | None = None
    tokens_per_minute: int | None = None
    """Of language models, read and made."""

    def covers(self, name: str) -> bool:
        """Whether it may call what is of that name."""
        return any(fnmatchcase(name, pattern) for pattern in self.operations)


ANONYMOUS = Principal("anonymous")
LOCAL = Principal("local")
"""Code in this very process."""


@dataclass(slots=True)
class Account:
    """What a call from outside led to, shared with the calls that were made for it."""

    steps: int = 0
    """How many things that its caller named were done, or begun."""

    def spend(self, steps: int) -> None:
        """Count so many more.

        Raises:
            InvalidInputError: that is more than one call may lead to.
        """
        self.steps += steps
        if self.steps > MAX_STEPS:
            raise InvalidInputError(f"one call may lead to {MAX_STEPS} steps, and no more")


@dataclass(slots=True)
class Caller:
    """What a door knows about the call beside its payload."""

    principal: Principal = LOCAL
    request_id: str = ""
    door: str = "python"
    deadline_s: float | None = None
    """Only ever shortens the operation's own."""
    priority: Priority = Priority.INTERACTIVE
    idempotency_key: str | None = None
    trace_parent: str = ""
    """The W3C `traceparent` that it came with."""
    on_progress: Callable[[int, int | None, str], None] | None = None
    answer_type: str = "application/json"
    """In which form the door wants an answer that is encoded where the operation ran; empty for
    none, if it ran in this process."""
    depth: int = 0
    """How many other calls it is made within."""
    account: Account = field(default_factory=Account)
    """Shared with the call that it is made within."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """A body that nobody has decoded yet.

    `size` is what the wire announced, in bytes, and None where it announced nothing. `fields` are
    the request's fields that stand beside the body (a query string), as strings.
    """

    body: bytes | bytearray | AsyncIterator[bytes] = b""
    size: int | None = None
    media_type: str = "application/json"
    content_encoding: str = ""
    fields: dict[str, str] = field(default_factory=dict)


Payload = Struct | Encoded


@dataclass(frozen=True, slots=True)
class Answer:
    """What an operation answered: as a Struct, or encoded where it ran, as the caller wants it."""

    value: Struct | None = None
    encoded: bytes = b""
    replayed: bool = False
    """Kept from an earlier call with the same idempotency key."""

    def json(self) -> bytes:
        """The answer as JSON, for a caller that did not ask for another form."""
        return self.encoded if self.value is None else msgspec.json.encode(self.value)

    def read(self, returns: type[R]) -> R:
        """The answer as the Struct that the caller reads."""
        if self.value is None:
            return msgspec.json.decode(self.encoded, type=returns)
        if type(self.value) is returns:
            return self.value
        plain = msgspec.to_builtins(self.value, builtin_types=(bytes,))
        return msgspec.convert(plain, returns, builtin_types=(bytes,))


class Dispatcher(Protocol):
    """The call-and-return boundary between doors and operations.

    `call` and `stream` raise only `SensoriumError`s, and `asyncio.CancelledError` when the task
    that awaits is cancelled, which is how a door says that nobody waits any more.
    """

    @property
    def registry(self) -> Registry:
        """The operations there are."""

    def identify(self, credential: str | None) -> Principal:
        """Whose credential that is.

        Raises:
            UnauthenticatedError: nobody's.
        """

    def renew(self, principal: Principal) -> Principal:
        """Somebody identified earlier, with what their key may do by now.

        Raises:
            UnauthenticatedError: it was revoked since.
        """

    def authorise(self, principal: Principal, name: str) -> None:
        """Let somebody have what is not an operation (`system.metrics`), or raise.

        Raises:
            UnauthenticatedError: a key is needed.
            ForbiddenError: this one does not cover it.
        """

    async def call(self, name: str, payload: Payload, caller: Caller) -> Answer:
        """The answer of a unary operation."""

    def stream(
        self,
        name: str,
        payload: Payload,
        caller: Caller,
        incoming: AsyncIterator[Payload | None] | None = None,
    ) -> AsyncGenerator[Answer, None]:
        """The items of a streaming operation, in order.

        `incoming` feeds one that listens; None among its items is a sign of life.
        """
