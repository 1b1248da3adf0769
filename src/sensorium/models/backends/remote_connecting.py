"""Connections to one server, straight or through a proxy."""

import asyncio
import ssl
from base64 import b64encode
from urllib.parse import SplitResult, unquote, urlsplit

from sensorium.core.errors import UnavailableError
from sensorium.core.loading import load
from sensorium.models.backends.remote_connection import Connection
from sensorium.models.backends.remote_settings import Upstream
from sensorium.models.pictures.places import PORTS


class Connector:
    """Opens connections as an upstream's settings say.

    Raises:
        OSError, ValueError: `ca_file` or an address cannot be used.
    """

    def __init__(self, upstream: Upstream) -> None:
        self._url = urlsplit(upstream.url)
        self._proxy = urlsplit(upstream.proxy) if upstream.proxy else None
        _address(self._url)
        self._trust: ssl.SSLContext | None = None
        secure = "https" in (self._url.scheme, self._proxy and self._proxy.scheme)
        if secure or upstream.ca_file:
            self._trust = _trust(upstream.ca_file)

    def target(self, path: str) -> str:
        """A path as the request's first line names it: whole, where a proxy reads it."""
        if self._proxy is not None and self._url.scheme == "http":
            return f"http://{self.authority}{path}"
        return path

    @property
    def authority(self) -> str:
        """The server's name and port, as the `host` header has it."""
        host, port = _address(self._url)
        shown = f"[{host}]" if ":" in host else host
        return shown if port == PORTS[self._url.scheme] else f"{shown}:{port}"

    @property
    def headers(self) -> dict[str, str]:
        """What each request says for the proxy."""
        return _credentials(self._proxy) if self.target("/") != "/" else {}

    async def open(self, until: float) -> Connection:
        """A new connection.

        Raises:
            OSError: nobody is there, or not until then (`TimeoutError`).
            UnavailableError: the proxy leads nowhere.
        """
        loop = asyncio.get_running_loop()
        first = self._proxy or self._url
        host, port = _address(first)
        secure = self._trust if first.scheme == "https" else None
        async with asyncio.timeout_at(until):
            transport, connection = await loop.create_connection(
                lambda: Connection(loop),
                host,
                port,
                ssl=secure,
                server_hostname=host if secure else None,
            )
            try:
                if self._proxy is not None and self._url.scheme == "https":
                    await self._tunnel(transport, connection, until)
            except BaseException:
                connection.close()
                raise
        return connection

    async def _tunnel(
        self, transport: asyncio.Transport, connection: Connection, until: float
    ) -> None:
        host, port = _address(self._url)
        to = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        headers = {"host": to, **_credentials(self._proxy)}
        lines = [f"CONNECT {to} HTTP/1.1", *(f"{k}: {v}" for k, v in headers.items()), "", ""]
        await connection.send("\r\n".join(lines).encode("latin-1"), until)
        await connection.head(until)
        if connection.status != 200:
            raise UnavailableError("the proxy does not lead to the remote server")
        connection.answered = True  # what follows is the server's
        loop = asyncio.get_running_loop()
        assert self._trust is not None
        upgraded = await loop.start_tls(transport, connection, self._trust, server_hostname=host)
        assert upgraded is not None
        connection.tunnelled(upgraded)


def _address(url: SplitResult) -> tuple[str, int]:
    host = (url.hostname or "").encode("idna").decode() if url.hostname else ""
    return host, url.port or PORTS[url.scheme]


def _credentials(proxy: SplitResult | None) -> dict[str, str]:
    if proxy is None or not proxy.username:
        return {}
    both = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    return {"proxy-authorization": f"Basic {b64encode(both.encode()).decode()}"}


def _trust(ca_file: str) -> ssl.SSLContext:
    if ca_file:
        return ssl.create_default_context(cafile=ca_file)
    trust: ssl.SSLContext = load("httpx:create_ssl_context")(trust_env=False)
    return trust
