"""Pictures from addresses that a caller names, fetched so that nothing else is."""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from contextlib import suppress
from functools import cache
from threading import Thread
from typing import Any
from weakref import WeakValueDictionary

import httpcore
from httpx import create_ssl_context

from sensorium.core.errors import InvalidInputError, UnavailableError
from sensorium.core.pictures import MAX_BYTES, look
from sensorium.core.version import VERSION
from sensorium.models.pictures.places import PORTS, REFUSED, Place, is_public, place, redirected

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
TIME_S = 10.0
MAX_REDIRECTS = 3
REDIRECTS = (301, 302, 303, 307, 308)
AT_ONCE = 16
"""Pictures that are fetched at the same time, for all callers together."""
AT_ONCE_OF_HOST = 4
"""Of these, so many from one host: one that is slow holds up its own alone."""
HEADERS = [
    (b"user-agent", f"sensorium/{VERSION}".encode()),
    (b"accept", b"image/png,image/jpeg,image/gif,image/webp"),
    (b"accept-encoding", b"identity"),
]
UNREACHED = "the picture's address cannot be reached"
_FAULTS = (
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.TimeoutException,
    OSError,
)


async def resolved(host: str, port: int) -> list[str]:
    """The numeric addresses of a host; none where it has none.

    On a thread of its own: names that take long to resolve hold up nothing else.
    """
    loop = asyncio.get_running_loop()
    found: asyncio.Future[list[str]] = loop.create_future()

    def tell(addresses: list[str]) -> None:
        if not found.done():
            found.set_result(addresses)

    def work() -> None:
        addresses = _looked_up(host, port)
        with suppress(RuntimeError):  # the loop is closed: nobody waits
            loop.call_soon_threadsafe(tell, addresses)

    Thread(target=work, daemon=True).start()
    return await found


class Fetcher:
    """Fetches pictures from public hosts, and from those that are `allowed` as `host:port`.

    A name is resolved once, each of its addresses is looked at, and the connection is made to one
    of those very addresses: what the name leads to a moment later does not matter. Neither
    proxies nor passwords of the environment are used, and nothing is kept between two pictures.
    """

    def __init__(
        self,
        allowed: Collection[str] = (),
        resolve: Resolve = resolved,
        time_s: float = TIME_S,
        trust: ssl.SSLContext | None = None,
    ) -> None:
        self._allowed = frozenset(allowed)
        self._resolve = resolve
        self._time_s = time_s
        self._trust = trust
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._of_hosts: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    async def fetch(self, url: str) -> bytes:
        """The file of a picture.

        Raises:
            InvalidInputError: it may not be fetched, is not there, or is no picture within
                bounds (`core.pictures.look`).
            UnavailableError: it does not come in time, the wait for its turn included.
        """
        where = place(url)
        try:
            async with asyncio.timeout(self._time_s):
                data = await self._follow(where)
        except TimeoutError:
            raise UnavailableError(f"the picture did not come within {self._time_s:g} s") from None
        look(data)
        return data

    async def _follow(self, where: Place) -> bytes:
        for _ in range(MAX_REDIRECTS + 1):
            async with self._of_host(where.host), self._turns:
                found = await self._get(where)
            if isinstance(found, bytes):
                return found
            where = found
        raise InvalidInputError(f"the picture's address leads on more than {MAX_REDIRECTS} times")

    def _of_host(self, host: str) -> asyncio.Semaphore:
        """A host's own turns, kept as long as somebody has or awaits one."""
        return self._of_hosts.setdefault(host, asyncio.Semaphore(AT_ONCE_OF_HOST))

    async def _get(self, where: Place) -> bytes | Place:
        """What lies there, or where it sends on to."""
        addresses = await self._addresses(where)
        trust = None
        if where.scheme == "https":
            trust = self._trust or await asyncio.to_thread(_usual_trust)
        url = httpcore.URL(
            scheme=where.scheme, host=where.host, port=where.port, target=where.target
        )
        try:
            async with (
                httpcore.AsyncConnectionPool(
                    ssl_context=trust, network_backend=_Straight(addresses, self._knows(where))
                ) as pool,
                pool.stream(
                    "GET", url, headers=[(b"host", where.authority.encode()), *HEADERS]
                ) as answer,
            ):
                headers = {name.lower(): value for name, value in answer.headers}
                if answer.status in REDIRECTS and b"location" in headers:
                    return redirected(where, headers[b"location"].decode("latin-1"))
                _check(answer.status, headers)
                return await _body(answer.aiter_stream())
        except _FAULTS:
            raise InvalidInputError(UNREACHED) from None

    async def _addresses(self, where: Place) -> Sequence[str]:
        """Those of a host, all of which may be asked."""
        known = self._knows(where)
        if not known and where.port not in PORTS.values():
            raise InvalidInputError("pictures are fetched from the ports 80 and 443 only")
        found = await self._resolve(where.host, where.port)
        if not known and not (found and all(map(is_public, found))):
            raise InvalidInputError(REFUSED)
        return found

    def _knows(self, where: Place) -> bool:
        return where.origin in self._allowed


class _Straight(httpcore.AsyncNetworkBackend):
    """Connects to addresses that were looked at, whatever the name leads to now."""

    def __init__(self, addresses: Sequence[str], own: bool) -> None:
        self._addresses = addresses
        self._own = own
        self._inner = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the library's signature
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """A connection to the first address that takes one."""
        fault: Exception = httpcore.ConnectError()
        for address in self._addresses:
            try:
                stream = await self._inner.connect_tcp(address, port, timeout)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                fault = error
                continue
            if self._own or not _is_here(stream):
                return stream
            await stream.aclose()
            raise InvalidInputError(REFUSED)
        raise fault


def _looked_up(host: str, port: int) -> list[str]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    return list(dict.fromkeys(str(each[4][0]) for each in found))


def _is_here(stream: httpcore.AsyncNetworkStream) -> bool:
    """Whether a public address is this very machine's."""
    near, far = (stream.get_extra_info(name) for name in ("client_addr", "server_addr"))
    return bool(near[0] == far[0])


def _check(status: int, headers: dict[bytes, bytes]) -> None:
    if status != 200:
        raise InvalidInputError(f"the picture's address answers with {status}")
    if headers.get(b"content-encoding", b"identity").lower() != b"identity":
        raise InvalidInputError("the picture comes packed, which nobody asked for")
    length = headers.get(b"content-length", b"0")
    if length.isdigit() and int(length[:20]) > MAX_BYTES:
        raise InvalidInputError(f"a picture has at most {MAX_BYTES} bytes")


async def _body(parts: Any) -> bytes:
    whole = bytearray()
    async for part in parts:
        whole += part
        if len(whole) > MAX_BYTES:
            raise InvalidInputError(f"a picture has at most {MAX_BYTES} bytes")
    return bytes(whole)


@cache
def _usual_trust() -> ssl.SSLContext:
    return create_ssl_context(trust_env=False)
