"""Calls to a server over HTTP."""

import asyncio
import os
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    aclosing,
    asynccontextmanager,
    contextmanager,
)
from urllib.parse import urlsplit

import h11
import httpx
import msgspec
from msgspec import Struct

from sensorium.client.duplex import ConnectingError, Reply, converse
from sensorium.client.options import Options
from sensorium.client.retries import RetriableError, with_retries
from sensorium.client.wire import (
    base_url,
    headers_of,
    path_of,
    read_answer,
    read_error,
    read_stream,
)
from sensorium.core.errors import DeadlineExceededError, SensoriumError, UnavailableError
from sensorium.core.operation import Operation

CONNECT_S = 5.0
SILENCE_S = 60.0
"""A stream that stands still carries an empty line every 15 s."""
GRACE_S = 5.0
"""Beyond a call's deadline, for the server's own word that it is over."""
JSON = {"content-type": "application/json"}
NDJSON = {"content-type": "application/x-ndjson"}
REFUSED = ("rate_limited", "overloaded")
"""Codes of calls that were turned away before they began."""


class Remote:
    """A server, by its address. Belongs to the event loop that first calls it."""

    def __init__(
        self, url: str, api_key: str | None, retries: int, tls: ssl.SSLContext | None
    ) -> None:
        self._url = base_url(url)
        self._api_key = api_key
        self._retries = retries
        self._tls = tls or (httpx.create_ssl_context() if url.startswith("https") else None)
        self._http: httpx.AsyncClient | None = None
        self._closed = False

    async def call(self, operation: Operation, request: Struct, options: Options) -> Struct:
        """See `Backend.call`."""
        url = self._url + path_of(operation)
        body = msgspec.json.encode(request)
        headers = headers_of(operation, options, self._api_key) | JSON

        async def attempt() -> Struct:
            with self._explained(repeatable=True):
                response = await self._client().post(url, content=body, headers=headers)
                if response.status_code != 200:
                    raise _retriable(response.status_code, dict(response.headers), response.content)
            return read_answer(operation, response.content)

        limit_s = options.timeout_s or operation.deadline_s
        try:
            async with asyncio.timeout(limit_s + min(GRACE_S, limit_s)):
                return await with_retries(attempt, self._retries)
        except TimeoutError:
            raise DeadlineExceededError(f"no answer came within {limit_s:g} s") from None

    async def stream(
        self,
        operation: Operation,
        request: Struct,
        incoming: AsyncIterator[Struct] | None,
        options: Options,
    ) -> AsyncGenerator[Struct, None]:
        """See `Backend.stream`. Tried again only before anything of it has happened."""
        headers = headers_of(operation, options, self._api_key)
        url = self._url + path_of(operation)
        if incoming is not None:
            url += "?request_in_body=true"

        async def attempt() -> tuple[Reply, AsyncExitStack]:
            if incoming is None:
                sent = self._post(url, msgspec.json.encode(request), headers | JSON)
            else:
                sent = converse(url, headers | NDJSON, _encoded(request, incoming), self._tls)
            return await self._opened(sent, repeatable=incoming is None)

        reply, stack = await with_retries(attempt, self._retries)
        async with stack, aclosing(reply.body):
            with self._explained():
                async for item in read_stream(operation, _lines(reply.body)):
                    yield item

    async def close(self) -> None:
        """See `Backend.close`."""
        self._closed = True
        if self._http is not None:
            await self._http.aclose()

    async def _opened(
        self, sent: AbstractAsyncContextManager[Reply], *, repeatable: bool
    ) -> tuple[Reply, AsyncExitStack]:
        """A streamed reply that has begun well, and what to close after it."""
        stack = AsyncExitStack()
        try:
            with self._explained():
                reply = await stack.enter_async_context(sent)
                if reply.status != 200:
                    body = b"".join([piece async for piece in reply.body])
                    refusal = read_error(reply.status, reply.headers, body)
                    if repeatable and refusal.code in REFUSED:
                        raise RetriableError(refusal)
                    raise refusal
        except BaseException:
            await stack.aclose()
            raise
        return reply, stack

    @asynccontextmanager
    async def _post(
        self, url: str, body: bytes, headers: dict[str, str]
    ) -> AsyncGenerator[Reply, None]:
        client = self._client()
        timeout = httpx.Timeout(SILENCE_S, connect=CONNECT_S)
        async with client.stream(
            "POST", url, content=body, headers=headers, timeout=timeout
        ) as response:
            pieces = response.aiter_bytes()
            yield Reply(response.status_code, dict(response.headers), _generated(pieces))

    def _client(self) -> httpx.AsyncClient:
        if self._closed:
            raise UnavailableError("this client is closed")
        if self._http is None:
            timeout = httpx.Timeout(SILENCE_S, connect=CONNECT_S, read=None)
            limits = httpx.Limits(max_connections=None, max_keepalive_connections=32)
            self._http = httpx.AsyncClient(verify=self._tls or True, timeout=timeout, limits=limits)
        return self._http

    @contextmanager
    def _explained(self, *, repeatable: bool = False) -> Iterator[None]:
        """Turn a connection's failures into our errors.

        Where none came about, nothing was sent, and any call may be tried again.
        """
        try:
            yield
        except (httpx.ConnectError, httpx.ConnectTimeout, ConnectingError) as failure:
            error = self._unreachable(failure)
            if _is_about_tls(failure):
                raise error from None
            raise RetriableError(error) from None
        except (httpx.TransportError, h11.RemoteProtocolError, OSError):
            error = UnavailableError(f"the connection to {self._shown} was lost")
            if repeatable:
                raise RetriableError(error) from None
            raise error from None

    def _unreachable(self, failure: Exception) -> SensoriumError:
        return UnavailableError(
            f"no connection to {self._shown}: {_reason(failure)}; `sensorium serve` starts a server"
        )

    @property
    def _shown(self) -> str:
        parts = urlsplit(self._url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def _retriable(status: int, headers: dict[str, str], body: bytes) -> Exception:
    """The refusal of a call that may be made twice: RetriableError if the server says when."""
    error = read_error(status, headers, body)
    wanted = status in (429, 503) and error.retry_after_s is not None
    return RetriableError(error) if wanted else error


def _reason(failure: BaseException) -> str:
    """Why there was no connection: the operating system's word, from below the libraries'."""
    cause: BaseException | None = failure
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno:
            known = cause.errno > 0 and not isinstance(cause, ssl.SSLError)
            return os.strerror(cause.errno) if known else cause.strerror or str(cause)
        cause = cause.__cause__ or cause.__context__
    return str(failure) or "it took too long"


def _is_about_tls(failure: BaseException | None) -> bool:
    while failure is not None:
        if isinstance(failure, ssl.SSLError):
            return True
        failure = failure.__cause__ or failure.__context__
    return False


async def _encoded(request: Struct, items: AsyncIterator[Struct]) -> AsyncGenerator[bytes, None]:
    yield msgspec.json.encode(request) + b"\n"
    async for item in items:
        yield msgspec.json.encode(item) + b"\n"


async def _generated(pieces: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    async for piece in pieces:
        yield piece


async def _lines(pieces: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    """The lines in the pieces of a body."""
    begun: list[bytes] = []
    async for piece in pieces:
        *complete, rest = piece.split(b"\n")
        for line in complete:
            yield b"".join([*begun, line])
            begun = []
        begun.append(rest)
    yield b"".join(begun)
