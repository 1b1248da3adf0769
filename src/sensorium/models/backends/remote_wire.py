"""HTTP to the server that runs a remote model: whole answers, and lines as they come.

Redirects are not followed, and nothing of the environment (proxies, stored passwords) is used.
"""

import asyncio
import queue
import ssl
import threading
from collections.abc import Callable, Coroutine, Generator, Iterator, Mapping
from concurrent.futures import CancelledError, Future, wait
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx

from sensorium.core.errors import (
    CancelledCallError,
    InvalidInputError,
    SensoriumError,
    UnavailableError,
)
from sensorium.models.backends.looking import LOOK_S
from sensorium.models.backends.remote_answers import lines_of, refusal, said, whole
from sensorium.models.backends.remote_settings import RemoteSettings

T = TypeVar("T")
CONNECT_S = 10.0
MAX_ERROR = 64 << 10
MAX_ANSWER = 1 << 30
MAX_WAITING = 1000
"""Lines that wait to be taken; the server is read no further then."""
DRAIN_S = 0.1
"""How long the end of an answer is waited for, once nothing more of it is wanted."""


@dataclass(frozen=True)
class Answer:
    """A whole answer that went well."""

    headers: Mapping[str, str]
    body: bytes


class Wire:
    """Connections to one server, kept open between calls. Any thread may call."""

    def __init__(self, settings: RemoteSettings, connections: int) -> None:
        self._settings = settings
        key = settings.api_key.reveal()
        headers = {"accept-encoding": "identity"}
        if key:
            headers["authorization"] = f"Bearer {key}"
        try:
            self._client = httpx.AsyncClient(
                base_url=settings.url.rstrip("/"),
                headers=headers,
                timeout=httpx.Timeout(settings.timeout_s, connect=CONNECT_S),
                limits=httpx.Limits(max_connections=connections),
                proxy=settings.proxy or None,
                verify=_trust(settings),
                follow_redirects=False,
                trust_env=False,
            )
        except (OSError, ValueError, httpx.InvalidURL):
            raise InvalidInputError(
                "remote.toml: its url, ca_file or api_key cannot be used"
            ) from None
        self._running: set[Future[Any]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def ask(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> Answer:
        """The answer to a request.

        Raises:
            CancelledCallError: `interrupt` was called.
            InvalidInputError: the server refuses the request.
            OverloadedError, UnavailableError: it cannot answer now.
        """
        with self._explained():
            return self._begin(self._ask(method, path, body, headers or {})).result()

    def lines(
        self, path: str, body: bytes, kind: str, wanted: Callable[[], bool]
    ) -> Generator[str, None, None]:
        """The lines of an answer of a media type, as they come; no more once none is wanted.

        Errors as for `ask`; `UnavailableError` where the answer breaks off.
        """
        taken = _Lines(self._loop)
        future = self._begin(self._pump(path, body, kind, taken))
        try:
            while not (taken.ended or (future.done() and taken.empty())):
                line = taken.next()
                if line is not None:
                    yield line
                elif not (taken.ended or wanted()):
                    return
            with self._explained():
                future.result()
        finally:
            wait([future], DRAIN_S)  # a connection that is read to its end is used again
            future.cancel()

    def interrupt(self) -> None:
        """End what is asked now."""
        for future in self._running.copy():
            future.cancel()

    def close(self) -> None:
        """Close all connections; a second time does nothing."""
        if self._loop.is_closed():
            return
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(CONNECT_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(CONNECT_S)
        self._loop.close()

    def scrubbed(self, text: str) -> str:
        """A server's words on one line, not too many, and without the key."""
        key = self._settings.api_key.reveal()
        text = text.replace(key, "***") if key else text
        return " ".join(text.split())[:300]

    def _begin(self, work: Coroutine[Any, Any, T]) -> "Future[T]":
        if self._loop.is_closed():
            work.close()
            raise UnavailableError("the model was unloaded; try again", retry_after_s=0.1)
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        self._running.add(future)
        future.add_done_callback(self._running.discard)
        return future

    async def _end(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._client.aclose()

    async def _ask(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        async with self._client.stream(
            method, path, content=body or None, headers=_typed(body, headers)
        ) as response:
            await self._check(response)
            return Answer(response.headers, await whole(response, MAX_ANSWER))

    async def _pump(self, path: str, body: bytes, kind: str, taken: "_Lines") -> None:
        try:
            async with self._client.stream(
                "POST", path, content=body, headers=_typed(body, {"accept": kind})
            ) as response:
                await self._check(response)
                given = response.headers.get("content-type", "").partition(";")[0].strip()
                if given != kind:
                    raise UnavailableError(
                        f"the remote server answers with {given[:60]!r}, not {kind}"
                    )
                async for line in lines_of(response):
                    await taken.put(line)
        finally:
            taken.end()

    async def _check(self, response: httpx.Response) -> None:
        if response.status_code != 200:
            body = b""
            if not response.is_redirect:
                body = await whole(response, MAX_ERROR, cut=True)
            raise refusal(response, self.scrubbed(said(body)))

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Whatever goes wrong on the way, as an error of ours."""
        try:
            yield
        except SensoriumError:
            raise
        except CancelledError:
            raise CancelledCallError from None
        except httpx.ConnectError:
            raise UnavailableError(
                "the remote server cannot be reached", retry_after_s=1.0
            ) from None
        except httpx.TimeoutException:
            silent = f"the remote server was silent for {self._settings.timeout_s:g} s"
            raise UnavailableError(silent, retry_after_s=1.0) from None
        except httpx.HTTPError:
            raise UnavailableError("the remote server broke off", retry_after_s=1.0) from None


class _Lines:
    """Lines on their way from the loop to a thread; no more than some wait there."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.ended = False
        self._loop = loop
        self._waiting: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._room = asyncio.Semaphore(MAX_WAITING)

    async def put(self, line: str) -> None:
        """Hand over a line, once there is room."""
        await self._room.acquire()
        self._waiting.put(line)

    def end(self) -> None:
        """Hand over that there are no more."""
        self._waiting.put(None)

    def empty(self) -> bool:
        """Whether nothing waits."""
        return self._waiting.empty()

    def next(self) -> str | None:
        """The next line; None where none has come for a while, or there are no more."""
        try:
            line = self._waiting.get(timeout=LOOK_S)
        except queue.Empty:
            return None
        if line is None:
            self.ended = True
        elif not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._room.release)
        return line


def _trust(settings: RemoteSettings) -> ssl.SSLContext:
    if settings.ca_file:
        return ssl.create_default_context(cafile=settings.ca_file)
    return httpx.create_ssl_context(trust_env=False)


def _typed(body: bytes, headers: Mapping[str, str]) -> dict[str, str]:
    return {"content-type": "application/json", **headers} if body else dict(headers)
