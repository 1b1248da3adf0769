"""Which names a request may be sent to, and which web pages may send one.

A page on the internet can make a browser send requests to 127.0.0.1, under the name of its own
host (DNS rebinding) or across origins; both are refused before anything is read.
"""

from functools import lru_cache
from urllib.parse import urlsplit

from sensorium.core.errors import ForbiddenError
from sensorium.transports.http.exchange import Scope
from sensorium.transports.http.settings import HttpSettings


class Senders:
    """Checks the Host and Origin headers."""

    def __init__(self, settings: HttpSettings) -> None:
        self._names = settings.host_names
        self._origins = frozenset(origin.rstrip("/").lower() for origin in settings.cors_origins)

    def check(self, scope: Scope, headers: dict[bytes, bytes]) -> None:
        """Let a request pass, or raise.

        Raises:
            ForbiddenError: it was sent to a name that is not ours, or from a foreign page.
        """
        host = headers.get(b"host", b"").decode("latin-1").lower()
        if self._names and (_name(host) not in self._names or _has_two_hosts(scope)):
            raise ForbiddenError(
                "this server does not answer to that host name; SENSORIUM_ALLOWED_HOSTS lists "
                "those that it does"
            )
        origin = headers.get(b"origin")
        if origin is not None and not self._welcome(origin.decode("latin-1").lower(), host, scope):
            raise ForbiddenError(
                "pages of that origin may not call this server; SENSORIUM_CORS_ORIGINS lists those "
                "that may"
            )

    def _welcome(self, origin: str, host: str, scope: Scope) -> bool:
        if "*" in self._origins or origin in self._origins:
            return True
        secure = scope["scheme"] in ("https", "wss")
        return origin == f"{'https' if secure else 'http'}://{host}"


def _has_two_hosts(scope: Scope) -> bool:
    headers: list[tuple[bytes, bytes]] = scope["headers"]
    return sum(name == b"host" for name, _ in headers) > 1


@lru_cache(maxsize=64)
def _name(host: str) -> str:
    """The host's name without its port; empty where it is nonsense."""
    try:
        parts = urlsplit(f"//{host}")
        return parts.hostname or "" if parts.path == "" and parts.username is None else ""
    except ValueError:
        return ""
