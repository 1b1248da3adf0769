"""What an `ASYNC` operation sees of the server."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

from msgspec import Struct

from sensorium.control.inference import Inference
from sensorium.core.dispatch import Answer, Caller
from sensorium.core.generation import Generation, Piece
from sensorium.core.operation import Inferred
from sensorium.core.tensors import Tensor

R = TypeVar("R")
Nested = Callable[[str, Struct], Awaitable[Answer]]


class CallContext:
    """The `Context` of one call. `nested` calls another operation on this call's account."""

    __slots__ = ("_nested", "_parts", "deadline")

    def __init__(
        self, deadline: float | None, nested: Nested, parts: Mapping[type[Any], Any]
    ) -> None:
        self.deadline = deadline
        self._nested = nested
        self._parts = parts

    async def call(self, name: str, request: Struct, *, returns: type[R]) -> R:
        """See `core.operation.Context.call`."""
        return (await self._nested(name, request)).read(returns)

    async def infer(
        self,
        model: str,
        inputs: Sequence[Tensor],
        *,
        outputs: Sequence[str] = (),
        version: str = "",
    ) -> Inferred:
        """See `core.operation.Context.infer`."""
        priority = self.get(Caller).priority
        run = self.get(Inference).infer
        return await run(model, inputs, outputs=outputs, version=version, priority=priority)

    def generate(
        self, model: str, task: Generation, *, version: str = ""
    ) -> AsyncGenerator[Piece, None]:
        """See `core.operation.Context.generate`."""
        priority = self.get(Caller).priority
        return self.get(Inference).generate(model, task, version=version, priority=priority)

    def get(self, part: type[R]) -> R:
        """See `core.operation.Context.get`."""
        found: R = self._parts[part]
        return found
