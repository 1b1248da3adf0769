"""What an `ASYNC` operation sees of the server."""

import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from msgspec import Struct

from sensorium.control.spending import Spending
from sensorium.core.asking import Question, Scores, Vectors
from sensorium.core.dispatch import Answer, Caller, Encoded, Payload, Principal
from sensorium.core.errors import InvalidInputError
from sensorium.core.generation import Generation, Piece
from sensorium.core.loading import load
from sensorium.core.operation import Inferred
from sensorium.core.tensors import Tensor

R = TypeVar("R")
INFERENCE = "sensorium.control.inference:Inference"
MAX_DEPTH = 4
"""So deep may calls be made within calls."""


class Owner(Protocol):
    """Who runs the call, and those that it makes."""

    async def call(self, name: str, payload: Payload, caller: Caller) -> Answer:
        """See `Dispatcher.call`."""

    async def nested(self, name: str, payload: Payload, caller: Caller) -> Answer:
        """The answer of an operation that another is made of, which is its own affair."""

    def authorise(self, principal: Principal, name: str) -> None:
        """See `Dispatcher.authorise`."""

    def renew(self, principal: Principal) -> Principal:
        """See `Dispatcher.renew`."""


class CallContext:
    """The `Context` of one call."""

    __slots__ = ("_caller", "_owner", "_parts", "deadline")

    def __init__(
        self, owner: Owner, caller: Caller, deadline: float | None, parts: Mapping[type[Any], Any]
    ) -> None:
        self.deadline = deadline
        self._owner = owner
        self._caller = caller
        self._parts = parts

    async def call(self, name: str, request: Struct, *, returns: type[R]) -> R:
        """See `core.operation.Context.call`."""
        return (await self._owner.nested(name, request, self._inner())).read(returns)

    async def relay(self, name: str, body: bytes) -> bytes:
        """See `core.operation.Context.relay`. No deadlock: whoever awaits this holds no slot."""
        inner = self._inner()
        inner.account.spend(1)
        inner.principal = self._owner.renew(inner.principal)  # revoked, perhaps, by now
        return (await self._owner.call(name, Encoded(body, len(body)), inner)).json()

    def authorise(self, name: str) -> None:
        """See `core.operation.Context.authorise`."""
        self._owner.authorise(self._owner.renew(self._caller.principal), name)

    async def infer(
        self,
        model: str,
        inputs: Sequence[Tensor],
        *,
        outputs: Sequence[str] = (),
        version: str = "",
    ) -> Inferred:
        """See `core.operation.Context.infer`."""
        priority = self._caller.priority
        found: Inferred = await self.get(load(INFERENCE)).infer(
            model, inputs, outputs=outputs, version=version, priority=priority
        )
        return found

    def generate(
        self, model: str, task: Generation, *, version: str = ""
    ) -> AsyncGenerator[Piece, None]:
        """See `core.operation.Context.generate`."""
        priority = self._caller.priority
        pieces: AsyncGenerator[Piece, None] = self.get(load(INFERENCE)).generate(
            model, task, version=version, priority=priority
        )
        principal = self._caller.principal
        if principal.tokens_per_minute is None:
            return pieces
        return self.get(Spending).charged(principal, pieces)

    async def ask(
        self, model: str, question: Question, returns: type[R], *, version: str = ""
    ) -> R:
        """See `core.operation.Context.ask`."""
        principal, spending = self._caller.principal, self.get(Spending)
        spending.check(principal)
        found: R = await self.get(load(INFERENCE)).ask(
            model, question, returns, version=version, priority=self._caller.priority
        )
        if isinstance(found, Vectors | Scores):
            spending.spend(principal, found.tokens)
        return found

    def get(self, part: type[R]) -> R:
        """See `core.operation.Context.get`."""
        found: R = self._caller if part is Caller else self._parts[part]  # type: ignore[assignment]
        return found

    def _inner(self) -> Caller:
        """Who makes a call within this one: the same, with the time that is left."""
        caller = self._caller
        if caller.depth >= MAX_DEPTH:
            raise InvalidInputError(f"calls may be made within calls {MAX_DEPTH} deep, and no more")
        left_s = None
        if self.deadline is not None:
            left_s = max(0.001, self.deadline - time.monotonic())
        # No idempotency key: it names the whole call, in which this one may come several times.
        return Caller(
            caller.principal,
            caller.request_id,
            caller.door,
            left_s,
            caller.priority,
            trace_parent=caller.trace_parent,
            depth=caller.depth + 1,
            account=caller.account,
        )
