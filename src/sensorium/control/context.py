"""What an `ASYNC` operation sees of the server."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from msgspec import Struct

from sensorium.core.dispatch import Answer

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

    def get(self, part: type[R]) -> R:
        """See `core.operation.Context.get`."""
        found: R = self._parts[part]
        return found
