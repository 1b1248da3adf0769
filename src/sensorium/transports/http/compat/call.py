"""One request in another server's protocol, and what all of these do with it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from sensorium.core.codec import explained
from sensorium.core.dispatch import ANONYMOUS, Answer, Caller, Dispatcher
from sensorium.core.errors import SensoriumError
from sensorium.transports.http.compat.bodies import Bodies
from sensorium.transports.http.exchange import JSON, Exchange
from sensorium.transports.http.problems import MethodNotAllowedError

R = TypeVar("R")
S = TypeVar("S", bound=Struct)
Renames = Mapping[str, str]
SAME: Renames = {}
READS = ("GET", "HEAD")


@dataclass(frozen=True, slots=True)
class Call:
    """Who asks for what, and by whom it is answered."""

    exchange: Exchange
    dispatcher: Dispatcher
    caller: Caller
    bodies: Bodies

    @classmethod
    def admitted(cls, exchange: Exchange, dispatcher: Dispatcher, bodies: Bodies) -> "Call":
        """A request, of somebody who may make one; each operation's call is authorised besides.

        Raises:
            UnauthenticatedError: a key is needed: nothing of a stranger's body is read.
        """
        principal = dispatcher.identify(exchange.credential())
        if principal is ANONYMOUS:
            dispatcher.authorise(principal, "chat.complete")
        return cls(exchange, dispatcher, exchange.caller(principal), bodies)

    def only(self, *methods: str) -> None:
        """Raise `MethodNotAllowedError` for another method."""
        if self.exchange.method not in methods:
            raise MethodNotAllowedError(", ".join(methods))

    async def read(self, kind: type[S], method: str = "POST") -> S:
        """The body, which is of this kind; errors as for `only` and `Bodies.read`."""
        self.only(method)
        return await self.bodies.read(self.exchange, lambda body: decoded(body, kind))

    async def read_for(
        self,
        operation: str,
        kind: type[S],
        fields: Callable[[S], dict[str, Any]],
        names: Callable[[S], Renames] = lambda _: SAME,
    ) -> tuple[S, Struct]:
        """The body of a POST, and the operation's request of what `fields` makes of it.

        `names` tells the protocol's names of fields that are called otherwise in the operation.

        Raises:
            InvalidInputError: as for `Bodies.read`, or the operation takes no such thing.
        """

        def read(body: bytes) -> tuple[S, Struct]:
            asked = decoded(body, kind)
            return asked, self.request(operation, fields(asked), names(asked))

        self.only("POST")
        return await self.bodies.read(self.exchange, read)

    def request(self, operation: str, fields: dict[str, Any], names: Renames = SAME) -> Struct:
        """An operation's request.

        Raises:
            InvalidInputError: it takes no such thing; in the protocol's own words.
        """
        kind = self.dispatcher.registry.get(operation).request
        try:
            return msgspec.convert(fields, kind, builtin_types=(bytes,))
        except (msgspec.ValidationError, RecursionError, OverflowError) as error:
            raise _renamed(explained(error), names) from None

    async def do(self, operation: str, request: Struct | dict[str, Any]) -> Answer:
        """Call an operation, with a request or the fields of one."""
        if isinstance(request, dict):
            request = self.request(operation, request)
        return await self.dispatcher.call(operation, request, self.caller)

    async def ask(self, operation: str, request: Struct | dict[str, Any], returns: type[R]) -> R:
        """What is read of an operation's answer."""
        return (await self.do(operation, request)).read(returns)

    async def answer(self, body: Any) -> None:
        """Answer with a value as JSON."""
        await self.exchange.answer(200, JSON, msgspec.json.encode(body))


def decoded(body: bytes, kind: type[S]) -> S:
    """A body that is an object of some kind; raises what msgspec raises."""
    return msgspec.json.decode(body, type=kind)


def _renamed(error: SensoriumError, names: Renames) -> SensoriumError:
    """The error, at the field's name in the protocol."""
    where = str(error.details.get("at", "")).removeprefix("$.")
    first = where.partition("[")[0].partition(".")[0]
    if first in names:
        error.details["at"] = names[first] + where.removeprefix(first)
    return error
