"""The ASGI application: every operation under /v1, and what a browser or a probe asks for."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from msgspec import Struct

from sensorium.core.dispatch import ANONYMOUS, Caller, Dispatcher
from sensorium.core.errors import NotFoundError, SensoriumError
from sensorium.core.operation import Execution, Kind, Operation
from sensorium.transports.http.exchange import JSON, Exchange, Receive, Scope, Send, stopping
from sensorium.transports.http.origin import Senders
from sensorium.transports.http.problems import MethodNotAllowedError, known
from sensorium.transports.http.routes import Alias, Route
from sensorium.transports.http.streams import answer_stream

PREFIX = "/v1/"
CALLER = "sensorium.caller"
"""Where in the scope a mounted door finds who calls."""
_KNOWN_PATHS = 4096
Family = Callable[[Exchange], Awaitable[None]]


class _Readiness(Struct):
    """What a probe reads of an answer."""

    ready: bool = True


class HttpDoor:
    """Serves a dispatcher's operations over HTTP.

    `routes` are the addresses that are not operations (`/folder/*` for a whole folder), `aliases`
    the other addresses of operations, `mounted` whole ASGI applications by path (other doors that
    share this port; they see requests whose sender has been checked), `families` what serves
    everything at and below a path of one part or two (`/v2`, `/v1/chat`) that is no operation.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        senders: Senders,
        *,
        routes: Mapping[str, Route],
        aliases: Mapping[str, Alias],
        mounted: Mapping[str, Any],
        families: Mapping[str, Family],
        timeout_s: float,
    ) -> None:
        self.families = families
        self.routes = routes
        self.aliases = aliases
        self._dispatcher = dispatcher
        self._senders = senders
        self.mounted = mounted
        self._timeout_s = timeout_s
        self._known: dict[str, Operation | None] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection's request (ASGI)."""
        if scope["type"] == "http":
            exchange = Exchange(scope, receive, send, self._timeout_s)
            try:
                await self._serve(exchange)
            except asyncio.CancelledError:  # only a stop that can wait no longer cancels a request
                await exchange.fail(stopping())
            except Exception as error:
                await exchange.fail(known(error))
        elif scope["type"] == "websocket":
            await self._serve_websocket(scope, receive, send)

    async def _serve(self, exchange: Exchange) -> None:
        path: str = exchange.scope["path"]
        alias = self.aliases.get(path)
        if alias is None or not alias.health:
            self._senders.check(exchange.scope, exchange.headers)
        if alias is not None:
            await self._serve_alias(exchange, alias)
        elif (operation := self._operation_at(path)) is not None:
            await self._serve_operation(exchange, operation, {})
        elif (family := self._family_at(path)) is not None:
            await family(exchange)
        elif (mounted := self.mounted.get(path)) is not None:
            exchange.scope[CALLER] = self._caller_of_mounted(exchange)
            await mounted(exchange.scope, exchange.receive, exchange.forward)
        else:
            await self._serve_route(exchange, path)

    def _caller_of_mounted(self, exchange: Exchange) -> Caller:
        """Who calls another door on this port; it has nothing for those who need a key."""
        principal = self._dispatcher.identify(exchange.credential())
        if principal is ANONYMOUS:
            self._dispatcher.authorise(principal, "system.operations")
        return exchange.caller(principal)

    async def _serve_alias(self, exchange: Exchange, alias: Alias) -> None:
        operation = self._dispatcher.registry.get(alias.operation)
        if not alias.health:
            await self._serve_operation(exchange, operation, alias.defaults)
            return
        if exchange.method not in ("GET", "HEAD"):
            raise MethodNotAllowedError("GET, HEAD")
        caller = exchange.caller(self._dispatcher.identify(None))
        answer = await self._dispatcher.call(operation.name, operation.request(), caller)
        body = answer.json()
        ready = answer.read(_Readiness).ready
        await exchange.answer(200 if ready else 503, JSON, body)

    def _operation_at(self, path: str) -> Operation | None:
        if path not in self._known and path.startswith(PREFIX) and path not in self.mounted:
            found = self._named(path)
            if len(self._known) < _KNOWN_PATHS:
                self._known[path] = found
            return found
        return self._known.get(path)

    def _named(self, path: str) -> Operation | None:
        """The operation that a path names; None where the path is another protocol's."""
        noun, _, verb = path.removeprefix(PREFIX).partition("/")
        try:
            return self._dispatcher.registry.get(f"{noun}.{verb.replace('-', '_')}")
        except NotFoundError:
            if self._family_at(path) is None:
                raise
            return None

    def _family_at(self, path: str) -> Family | None:
        """What serves a path of another protocol: by its first part (`/v2`), or its first two."""
        _, *parts = path.split("/", 3)
        found = self.families.get(f"/{parts[0]}")
        return found or self.families.get("/" + "/".join(parts[:2]))

    async def _serve_route(self, exchange: Exchange, path: str) -> None:
        route = self.routes.get(path) or self._folder_above(path)
        if route is None:
            raise NotFoundError("there is nothing here; /api-doc/ lists the operations")
        if exchange.method not in ("GET", "HEAD"):
            raise MethodNotAllowedError("GET, HEAD")
        if route.permission:
            principal = self._dispatcher.identify(exchange.credential())
            self._dispatcher.authorise(principal, route.permission)
        await route.serve(exchange)

    def _folder_above(self, path: str) -> Route | None:
        """The folder, served whole, that the path lies in."""
        for address, route in self.routes.items():
            if address.endswith("/*") and path.startswith(address[:-1]):
                return route
        return None

    async def _serve_operation(
        self, exchange: Exchange, operation: Operation, defaults: Mapping[str, str]
    ) -> None:
        if exchange.method != "POST":
            if not operation.takes_nothing:
                raise MethodNotAllowedError("POST")
            if exchange.method not in ("GET", "HEAD"):
                raise MethodNotAllowedError("GET, HEAD, POST")
        caller = exchange.caller(self._dispatcher.identify(exchange.credential()))
        if operation.kind is not Kind.UNARY:
            await answer_stream(exchange, self._dispatcher, operation, caller)
            return
        payload = await exchange.payload()
        payload.fields.update({**defaults, **payload.fields})
        if operation.execution is Execution.INLINE and isinstance(payload.body, bytes):
            answer = await self._dispatcher.call(operation.name, payload, caller)
        else:
            with exchange.while_connected():
                answer = await self._dispatcher.call(operation.name, payload, caller)
        headers = [(b"idempotent-replayed", b"true")] if answer.replayed else None
        await exchange.answer(200, JSON, answer.json(), headers)

    async def _serve_websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        mounted = self.mounted.get(scope["path"])
        try:
            self._senders.check(scope, dict(scope["headers"]))
        except SensoriumError:
            mounted = None
        if mounted is None:
            await receive()
            await send({"type": "websocket.close", "code": 1008})
            return
        await mounted(scope, receive, send)
