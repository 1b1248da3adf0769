"""A mixed load with kills: unique tokens go out over HTTP and WebSocket, and must come back."""

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.faults.observing import kill, workers_of
from tests.servers import Server

TYPED = {"unavailable", "overloaded", "deadline_exceeded", "cancelled"}
"""What may become of a call while workers are killed and queues are full."""
LATE_S = 60.0
CHUNKS = 5


@dataclass
class Outcome:
    """What became of every call; `wrong` holds whatever must not happen."""

    ends: Counter[str] = field(default_factory=Counter)
    begun: int = 0
    wrong: list[str] = field(default_factory=list)

    def ended(self, code: str) -> None:
        """A call ended, with an error's code or `ok`."""
        self.ends[code] += 1
        if code != "ok" and code not in TYPED:
            self.wrong.append(f"ended with {code}")


class _Talk:
    """One connection's calls: what was sent, and how often each ended."""

    def __init__(self) -> None:
        self.tokens: dict[int, str] = {}
        self.ends: Counter[int] = Counter()
        self._complete = asyncio.Event()

    @property
    def left(self) -> int:
        """How many calls have not ended."""
        return len(self.tokens) - len(self.ends)

    def ended(self, number: int) -> None:
        self.ends[number] += 1
        if not self.left:
            self._complete.set()

    async def last_word(self) -> None:
        """Return when every call has ended; no more are sent."""
        while self.left:
            self._complete.clear()
            await self._complete.wait()


class Load:
    """Clients that call for `seconds`, and a killer among them."""

    def __init__(self, server: Server, seconds: float, seed: int) -> None:
        self.outcome = Outcome()
        self.kills = 0
        self._server = server
        self._until = time.monotonic() + seconds
        self._random = random.Random(seed)
        self._numbers = count()

    async def run(self) -> Outcome:
        """Have everybody call until the time is over, and every call end."""
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(
            base_url=self._server.url, timeout=LATE_S, limits=limits
        ) as http:
            clients = [self._repeat(lambda: self._unary(http)) for _ in range(4)]
            clients += [self._repeat(lambda: self._stream(http)) for _ in range(2)]
            clients += [self._repeat(lambda: self._leave(http)) for _ in range(2)]
            clients += [self._repeat(self._converse) for _ in range(2)]
            await asyncio.gather(*clients, self._kill())
        return self.outcome

    async def _repeat(self, action: Callable[[], Awaitable[None]]) -> None:
        while time.monotonic() < self._until:
            await action()

    def _token(self) -> str:
        self.outcome.begun += 1
        return f"token-{next(self._numbers)}"

    def _operation(self) -> str:
        return self._random.choice(["process", "process", "nested", "thread", "inline", "stuck"])

    def _seconds(self) -> float:
        return self._random.choice([0.0, 0.0, 0.01, 0.1])

    def _compare(self, sent: object, got: object) -> None:
        if sent != got:
            self.outcome.wrong.append(f"{got} came for {sent}")

    async def _unary(self, http: httpx.AsyncClient) -> None:
        token = self._token()
        body = {"token": token, "seconds": self._seconds()}
        try:
            answer = await http.post(f"/v1/testing/{self._operation()}", json=body)
        except httpx.HTTPError as error:
            self.outcome.ended(type(error).__name__)
            return
        found = answer.json()
        if answer.status_code == 200:
            self._compare(token, found["token"])
        self.outcome.ended("ok" if answer.status_code == 200 else found["code"])

    async def _stream(self, http: httpx.AsyncClient) -> None:
        tokens = [self._token() for _ in range(CHUNKS)]
        self.outcome.begun -= CHUNKS - 1
        lines = b"".join(json.dumps({"token": token}).encode() + b"\n" for token in tokens)
        headers = {"content-type": "application/x-ndjson"}
        try:
            answer = await http.post("/v1/testing/mirror", content=lines, headers=headers)
        except httpx.HTTPError as error:
            self.outcome.ended(type(error).__name__)
            return
        if answer.status_code != 200:
            self.outcome.ended(answer.json()["code"])
            return
        *chunks, last = (json.loads(line) for line in answer.text.splitlines() if line)
        got = [chunk["chunk"]["token"] for chunk in chunks]
        self._compare(tokens[: len(got)], got)
        if "end" in last:
            self._compare(CHUNKS, len(got))
        self.outcome.ended("ok" if "end" in last else last["error"]["code"])

    async def _leave(self, http: httpx.AsyncClient) -> None:
        """Call, and leave before the answer."""
        body = {"token": self._token(), "seconds": 30}
        try:
            timeout = self._random.uniform(0.05, 0.3)
            answer = await http.post("/v1/testing/process", json=body, timeout=timeout)
        except httpx.TimeoutException:
            self.outcome.ended("cancelled")
        except httpx.HTTPError as error:
            self.outcome.ended(type(error).__name__)
        else:
            self.outcome.ended(answer.json()["code"])

    async def _converse(self) -> None:
        """A few seconds of one WebSocket with many calls in flight."""
        talk = _Talk()
        over = min(self._until, time.monotonic() + 3)
        async with connect(self._server.ws_url, max_size=None, open_timeout=LATE_S) as socket:
            hearing = asyncio.create_task(self._hear(socket, talk))
            for number in count():
                if time.monotonic() > over:
                    break
                talk.tokens[number] = self._token()
                await self._begin(socket, number, talk.tokens[number])
                if talk.left > 20:
                    await asyncio.sleep(0.02)
            try:
                await asyncio.wait_for(talk.last_word(), LATE_S)
            except TimeoutError:
                self.outcome.wrong.append(f"{talk.left} calls never ended")
            await socket.close()
            await hearing
        self.outcome.wrong += [f"call {n} ended {t} times" for n, t in talk.ends.items() if t > 1]

    async def _begin(self, socket: ClientConnection, number: int, token: str) -> None:
        data = {"token": token, "seconds": self._seconds()}
        call: dict[str, object] = {"id": number, "op": f"testing.{self._operation()}", "data": data}
        call["priority"] = self._random.choice(["interactive", "batch"])
        await socket.send(json.dumps(call))
        if self._random.random() < 0.1:
            await socket.send(json.dumps({"id": number, "cancel": True}))

    async def _hear(self, socket: ClientConnection, talk: _Talk) -> None:
        try:
            async for text in socket:
                message = json.loads(text)
                if "data" in message:
                    self._compare(talk.tokens[message["id"]], message["data"]["token"])
                self.outcome.ended(message.get("error", {}).get("code", "ok"))
                talk.ended(message["id"])
        except ConnectionClosed as closed:
            self.outcome.wrong.append(f"a connection broke: {closed}")

    async def _kill(self) -> None:
        """Kill a worker every half second or so."""
        while time.monotonic() < self._until:
            await asyncio.sleep(self._random.uniform(0.2, 0.8))
            workers = await asyncio.to_thread(workers_of, self._server)
            if workers:
                with suppress(ProcessLookupError):  # the server was quicker
                    kill(self._random.choice(workers))
                    self.kills += 1
