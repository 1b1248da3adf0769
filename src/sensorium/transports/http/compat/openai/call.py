"""One request to one of the addresses, and what all of them do with it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from sensorium.core.dispatch import Caller, Dispatcher
from sensorium.core.errors import InvalidInputError
from sensorium.transports.http.compat.openai.body import Bodies
from sensorium.transports.http.exchange import JSON, Exchange
from sensorium.transports.http.problems import MethodNotAllowedError

R = TypeVar("R")
S = TypeVar("S", bound=Struct)
Renames = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Call:
    """Who asks for what, and by whom it is answered."""

    exchange: Exchange
    dispatcher: Dispatcher
    caller: Caller
    bodies: Bodies

    def only(self, *methods: str) -> None:
        """Raise `MethodNotAllowedError` for another method."""
        if self.exchange.method not in methods:
            raise MethodNotAllowedError(", ".join(methods))

    async def read(self, kind: type[S]) -> S:
        """The body, which is of this kind; errors as for `Bodies.read`."""
        return await self.bodies.read(self.exchange, lambda body: decoded(body, kind))

    async def read_for(
        self,
        operation: str,
        kind: type[S],
        fields: Callable[[S], dict[str, Any]],
        names: Callable[[S], Renames],
    ) -> tuple[S, Struct]:
        """The body, and the operation's request of the fields that `fields` makes of it.

        `names` tells the protocol's names of fields that are called otherwise in the operation.

        Raises:
            InvalidInputError: as for `Bodies.read`, or the operation takes no such thing.
        """

        def read(body: bytes) -> tuple[S, Struct]:
            asked = decoded(body, kind)
            return asked, self.request(operation, fields(asked), names(asked))

        return await self.bodies.read(self.exchange, read)

    def request(self, operation: str, fields: dict[str, Any], names: Renames) -> Struct:
        """An operation's request.

        Raises:
            InvalidInputError: it takes no such thing; in the protocol's own words.
        """
        kind = self.dispatcher.registry.get(operation).request
        try:
            return msgspec.convert(fields, kind, builtin_types=(bytes,))
        except msgspec.ValidationError as error:
            raise _renamed(error, names) from None

    async def ask(self, operation: str, request: Struct, returns: type[R]) -> R:
        """What an operation answers; only within `exchange.while_connected`."""
        answer = await self.dispatcher.call(operation, request, self.caller)
        return answer.read(returns)

    async def answer(self, body: Any) -> None:
        """Answer with a value as JSON."""
        await self.exchange.answer(200, JSON, msgspec.json.encode(body))


def decoded(body: bytes, kind: type[S]) -> S:
    """A body that is an object of some kind; raises what msgspec raises."""
    return msgspec.json.decode(body, type=kind)


def _renamed(error: msgspec.ValidationError, names: Renames) -> InvalidInputError:
    """The error, at the field's name in the protocol."""
    message, _, where = str(error).partition(" - at `$.")
    where = where.rstrip("`")
    first = where.partition("[")[0].partition(".")[0]
    if first in names:
        where = names[first] + where.removeprefix(first)
    return InvalidInputError(message, details={"field": where} if where else None)
