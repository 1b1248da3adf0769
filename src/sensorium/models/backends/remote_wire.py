"""HTTP to one server that has a remote model: whole answers, and lines as they come.

Redirects are not followed, and nothing of the environment (proxies, stored passwords) is used.
The connections are our own, over httptools: HTTPX would take more of the processor for one call
than all else that is done for it.
"""

import asyncio
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self
from urllib.parse import quote, urlsplit

from sensorium.core.errors import (
    DeadlineExceededError,
    InvalidInputError,
    SensoriumError,
    UnavailableError,
)
from sensorium.models.backends.remote_answers import Lines, refusal, said
from sensorium.models.backends.remote_connecting import Connector
from sensorium.models.backends.remote_connection import BrokenError, Connection, MalformedError
from sensorium.models.backends.remote_settings import Upstream

CONNECT_S = 10.0
IDLE_S = 30.0
"""A connection that was idle for longer is not used again."""
MAX_IDLE = 128
MAX_ERROR = 64 << 10
MAX_ANSWER = 1 << 30
END_S = 0.02
DRAIN_S = 0.2
"""How long the end of an answer is waited for, once nothing more of it is wanted: at first by
the call itself, then beside what follows."""
FAULTS = (OSError, BrokenError, MalformedError)
_KEY = re.compile(r"[\x21-\x7e]*")


@dataclass(frozen=True)
class Answer:
    """A whole answer that went well."""

    headers: Mapping[str, str]
    body: bytes


class Wire:
    """Connections to one server, kept open between calls; all on one event loop."""

    def __init__(self, upstream: Upstream) -> None:
        self._silent_s = upstream.timeout_s
        self._key = upstream.api_key.reveal()
        self._idle: list[Connection] = []
        self._open: set[Connection] = set()
        self._closed = False
        try:
            if not _KEY.fullmatch(self._key):
                raise ValueError
            self._connector = Connector(upstream)
        except (OSError, ValueError):
            raise InvalidInputError(
                "remote.toml: its url, ca_file, proxy or api_key cannot be used"
            ) from None
        self._base = quote(urlsplit(upstream.url).path.rstrip("/"), safe="/%:@!$&'()*+,;=~")
        headers = {
            "host": self._connector.authority,
            "accept-encoding": "identity",
            **self._connector.headers,
        }
        if self._key:
            headers["authorization"] = f"Bearer {self._key}"
        self._usual = "".join(f"{name}: {value}\r\n" for name, value in headers.items())

    async def ask(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        *,
        until: float,
    ) -> Answer:
        """The answer to a request.

        Raises:
            InvalidInputError: the server refuses the request.
            DeadlineExceededError: it has not answered by then.
            OverloadedError, UnavailableError: it cannot answer now.
        """
        async with Exchange(self, self._request(method, path, body, headers or {}), until) as found:
            whole = bytearray()
            while part := await found.part():
                whole += part
                if len(whole) > MAX_ANSWER:
                    raise UnavailableError(
                        f"the remote server answers with more than {MAX_ANSWER >> 20} MiB"
                    )
            return Answer(found.headers, bytes(whole))

    def lines(self, path: str, body: bytes, kind: str, *, until: float) -> "Exchange":
        """An answer of a media type, to be entered, and read in lines; errors as for `ask`."""
        request = self._request("POST", path, body, {"accept": kind})
        return Exchange(self, request, until, kind)

    def close(self) -> None:
        """Close all connections; a second time does nothing."""
        self._closed = True
        for each in [*self._open]:
            each.close()
        self._open.clear()
        self._idle.clear()

    def scrubbed(self, text: str) -> str:
        """A server's words on one line, not too many, and without the key."""
        text = text.replace(self._key, "***") if self._key else text
        return " ".join(text.split())[:300]

    def patience(self, until: float) -> float:
        """Until when it may be silent now."""
        return min(until, asyncio.get_running_loop().time() + self._silent_s)

    async def send(self, request: bytes, until: float) -> Connection:
        """A connection on which the request was sent, and the head of its answer has come.

        One that was idle may be closed by the server just now: the request is sent on a new one
        then.
        """
        while True:
            reused = self._taken()
            connection = reused or await self._opened(until)
            try:
                await connection.send(request, self.patience(until))
                await connection.head(self.patience(until))
            except BaseException as error:
                self._drop(connection)
                if reused and isinstance(error, BrokenError) and not connection.begun:
                    continue
                raise
            return connection

    def leave(self, connection: Connection, *, ended: bool) -> None:
        """Keep a connection for later; where its answer has not `ended`, nobody wants the rest."""
        if connection.answered:
            self._keep(connection)
        elif not ended or connection.lost or self._closed:
            self._drop(connection)
        else:
            timer = asyncio.get_running_loop().call_later(DRAIN_S, self._drop, connection)

            def answered() -> None:
                timer.cancel()
                self._keep(connection)

            connection.on_answered = answered

    def explained(self, error: Exception, until: float) -> SensoriumError:
        """What went wrong on the way, as an error of ours."""
        if self._closed:
            return UnavailableError("the model was unloaded; try again", retry_after_s=0.1)
        match error:
            case TimeoutError():
                if asyncio.get_running_loop().time() >= until:
                    return DeadlineExceededError("the remote server took too long in all")
                why = f"the remote server was silent for {self._silent_s:g} s"
            case ssl.SSLCertVerificationError():
                why = "the remote server's certificate is not trusted: see ca_file"
            case OSError():
                why = "the remote server cannot be reached"
            case MalformedError():
                why = "the remote server answers with what is not HTTP"
            case _:
                why = "the remote server broke off"
        return UnavailableError(why, retry_after_s=1.0)

    def _request(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> bytes:
        target = self._connector.target(self._base + path)
        head = f"{method} {target} HTTP/1.1\r\n{self._usual}"
        if body:
            headers = {"content-type": "application/json", **headers}
            head += f"content-length: {len(body)}\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return f"{head}\r\n".encode("latin-1") + body

    async def _opened(self, until: float) -> Connection:
        if self._closed:
            raise BrokenError
        now = asyncio.get_running_loop().time()
        patience = min(self.patience(until), now + CONNECT_S)
        try:
            connection = await self._connector.open(patience)
        except TimeoutError:
            if patience == until:
                raise
            raise ConnectionError from None
        self._open.add(connection)
        return connection

    def _taken(self) -> Connection | None:
        """The connection that was used last, if one is idle."""
        oldest = asyncio.get_running_loop().time() - IDLE_S
        while self._idle:
            found = self._idle.pop()
            if found.usable and found.used_at > oldest:
                return found
            self._drop(found)
        return None

    def _keep(self, connection: Connection) -> None:
        connection.on_answered = None
        if self._closed or not connection.usable or len(self._idle) >= MAX_IDLE:
            self._drop(connection)
        else:
            self._idle.append(connection)

    def _drop(self, connection: Connection) -> None:
        connection.close()
        self._open.discard(connection)


class Exchange:
    """A request, and its answer while it comes. A plain class: it is entered for every call."""

    __slots__ = ("_connection", "_kind", "_lines", "_request", "_until", "_wire", "ended")

    def __init__(self, wire: Wire, request: bytes, until: float, kind: str = "") -> None:
        self.ended = False
        """To be set where what is still to come is nothing but its end."""
        self._wire = wire
        self._request = request
        self._until = until
        self._kind = kind
        self._lines = Lines()

    async def __aenter__(self) -> Self:
        try:
            self._connection = await self._wire.send(self._request, self._until)
        except FAULTS as error:
            raise self._wire.explained(error, self._until) from None
        try:
            await self._check()
        except BaseException:
            self._wire.leave(self._connection, ended=False)
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        connection = self._connection
        try:
            if self.ended and not connection.answered:  # it is about to: then it is used again
                until = asyncio.get_running_loop().time() + END_S
                while await connection.read(until):
                    pass
        except FAULTS:
            pass
        finally:
            self._wire.leave(connection, ended=self.ended)

    @property
    def headers(self) -> Mapping[str, str]:
        """The answer's, by names in lower case."""
        return self._connection.headers

    async def part(self) -> bytes:
        """What comes next of the answer; nothing at its end."""
        try:
            return await self._connection.read(self._wire.patience(self._until))
        except FAULTS as error:
            raise self._wire.explained(error, self._until) from None

    async def lines(self) -> list[bytes]:
        """The lines that come next, without their ends; none after the last."""
        while part := await self.part():
            if found := self._lines.feed(part):
                return found
        return self._lines.rest()

    async def _check(self) -> None:
        """Refuse an answer that did not go well, or is of another kind."""
        connection = self._connection
        if connection.status != 200:
            body = b""
            if not 300 <= connection.status < 400:
                while len(body) < MAX_ERROR and (part := await self.part()):
                    body += part
            words = self._wire.scrubbed(said(body[:MAX_ERROR]))
            raise refusal(connection.status, connection.headers, words)
        if connection.headers.get("content-encoding", "identity") != "identity":
            raise UnavailableError("the remote server packs its answer, which nobody asked for")
        given = connection.headers.get("content-type", "").partition(";")[0].strip()
        if self._kind and given != self._kind:
            raise UnavailableError(
                f"the remote server answers with {given[:60]!r}, not {self._kind}"
            )
