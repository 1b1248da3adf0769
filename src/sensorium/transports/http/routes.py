"""The addresses that are not `/v1/<noun>/<verb>`: aliases of operations, and plain routes."""

from collections.abc import Awaitable, Callable, Mapping

from msgspec import Struct, field

from sensorium.transports.http.exchange import Exchange


class Alias(Struct, frozen=True):
    """Another address of an operation. `defaults` fill what the request leaves out."""

    operation: str
    defaults: Mapping[str, str] = field(default_factory=dict)
    health: bool = False
    """A probe's address: no Host check, and 503 where the answer says `ready: false`."""


class Route(Struct, frozen=True):
    """An address that answers GET with something that is not an operation's answer.

    `permission` names what a key must cover; empty: public, because it shows what the software
    is and nothing that it holds.
    """

    serve: Callable[[Exchange], Awaitable[None]]
    permission: str = ""


HEALTH: dict[str, Alias] = {
    path: Alias(operation, health=True)
    for operation, paths in {
        "system.health": ("/v1/health", "/healthz", "/v2/health/live"),
        "system.ready": ("/v1/health/ready", "/readyz", "/v2/health/ready"),
    }.items()
    for path in paths
}
