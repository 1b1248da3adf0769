"""Calls to a server over HTTP."""

import asyncio
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import AsyncExitStack, aclosing, contextmanager
from urllib.parse import urlsplit

import h11
import httpx
import msgspec
from msgspec import Struct

from sensorium.client.duplex import Reply, converse
from sensorium.client.options import Options
from sensorium.client.retries import RetriableError, with_retries
from sensorium.client.wire import (
    base_url,
    headers_of,
    path_of,
    query_of,
    read_answer,
    read_error,
    read_stream,
)
from sensorium.core.errors import DeadlineExceededError, SensoriumError, UnavailableError
from sensorium.core.operation import Operation

CONNECT_S = 5.0
SILENCE_S = 60.0
GRACE_S = 5.0
"""Beyond a call's deadline, for the server's own word that it is over."""
JSON = {"content-type": "application/json"}
NDJSON = {"content-type": "application/x-ndjson"}


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

    async def call(self, operation: Operation, request: Struct, options: Options) -> Struct:
        """See `Backend.call`."""
        url = self._url + path_of(operation)
        body = msgspec.json.encode(request)
        headers = headers_of(operation, options, self._api_key) | JSON

        async def attempt() -> Struct:
            with self._explained(repeatable=True):
                response = await self._client().post(url, content=body, headers=headers)
                if response.status_code != 200:
                    raise _refusal(response.status_code, dict(response.headers), response.content)
            return read_answer(operation, response.content)

        limit_s = options.timeout_s or operation.deadline_s
        try:
            async with asyncio.timeout(limit_s + GRACE_S):
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

        async def attempt() -> tuple[Reply, AsyncExitStack]:
            async with AsyncExitStack() as stack:
                with self._explained(repeatable=False):
                    if incoming is None:
                        sent = self._post(url, request, headers | JSON)
                    else:
                        query = query_of(operation, request)
                        lines = _lines(incoming)
                        sent = converse(f"{url}?{query}", headers | NDJSON, lines, self._tls)
                    reply = await stack.enter_async_context(sent)
                    if reply.status != 200:
                        body = b"".join([piece async for piece in reply.body])
                        raise _refusal(reply.status, reply.headers, body)
                return reply, stack.pop_all()
            raise AssertionError

        reply, stack = await with_retries(attempt, self._retries)
        async with stack, aclosing(reply.body):
            with self._explained(repeatable=False, begun=True):
                async for item in read_stream(operation, _split(reply.body)):
                    yield item

    async def close(self) -> None:
        """See `Backend.close`."""
        if self._http is not None:
            await self._http.aclose()
