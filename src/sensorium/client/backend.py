"""What a client needs of the place where its calls are computed."""

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Protocol

from msgspec import Struct

from sensorium.client.options import Options
from sensorium.core.operation import Operation


class Backend(Protocol):
    """Computes in this process, or asks a server. Raises `SensoriumError`s alone."""

    async def call(self, operation: Operation, request: Struct, options: Options) -> Struct:
        """The answer of a unary operation."""

    def stream(
        self,
        operation: Operation,
        request: Struct,
        incoming: AsyncIterator[Struct] | None,
        options: Options,
    ) -> AsyncGenerator[Struct, None]:
        """The items of a streaming operation; `incoming` feeds one that listens."""

    async def close(self) -> None:
        """Give up what it holds."""
