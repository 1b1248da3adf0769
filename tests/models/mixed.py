"""Everything at once on the models of a server, while the models' processes are killed."""

import asyncio
import base64
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
from itertools import count
from typing import Any

import httpx
import numpy as np
import psutil

from tests.faults.observing import until
from tests.language.doors import DOORS, Door
from tests.language.openai_words import FRANCE, PARIS
from tests.models.flat import Watched
from tests.servers import Server

TYPED = {"unavailable", "overloaded", "deadline_exceeded"}
"""What may become of a good call while processes are killed and queues are full."""
LATE_S = 30.0
LOOK_S = 2.0
LARGE_ROWS = 4000
"""128 KB, which go through shared memory."""
SETTLED_S = 20.0
MORE_DESCRIPTORS = 8


class Mixed:
    """Clients that call for so many seconds, and a killer among them.

    `here` echoes in the server's process, `there` and `slow` run in processes of their own,
    `moving` comes and goes, `damaged` cannot be loaded. `tinylm` talks, and gives vectors.
    """

    def __init__(self, server: Server, seconds: float, seed: int) -> None:
        self.ends: Counter[str] = Counter()
        """How many calls ended so: `ok`, `left`, or an error's code."""
        self.wrong: list[str] = []
        self.kills = 0
        self.server = Watched(server.process.pid)
        self._url = server.url
        self._pid = server.process.pid
        self._seconds = seconds
        self._until = 0.0
        self._random = random.Random(seed)
        self._marks = count()
        self._others: set[int] = set()
        self._descriptors = 0
        self._processes = 0

    async def run(self) -> None:
        """Have everybody call until the time is over, and every call end."""
        async with httpx.AsyncClient(base_url=self._url, timeout=LATE_S) as http:
            self._others = self._children()
            for name, place in (("here", "inproc"), ("there", "process"), ("slow", "process")):
                body = {"model": name, "options": {"placement": place}}
                (await http.post("/v1/models/load", json=body)).raise_for_status()
            await self._echo(http, "moving")
            await self._embed(http)  # which loads tinylm
            self._descriptors = self.server.descriptors()
            self._processes = len(self._children())
            self._until = time.monotonic() + self._seconds
            clients = [self._repeat(lambda: self._echo(http, "here")) for _ in range(4)]
            clients += [self._repeat(lambda: self._echo(http, "there")) for _ in range(4)]
            clients += [self._repeat(lambda: self._echo(http, "moving")) for _ in range(2)]
            clients += [self._repeat(lambda: self._leave(http)) for _ in range(2)]
            clients += [self._repeat(lambda: self._move(http)), self._repeat(self._kill)]
            clients += [self._repeat(lambda: self._lease(http)), self._repeat(self._look)]
            clients += [self._repeat(lambda: self._damaged(http))]
            clients += [self._repeat(partial(self._talk, http, door)) for door in DOORS]
            clients += [self._repeat(lambda: self._hang_up(http)) for _ in range(2)]
            clients += [self._repeat(lambda: self._embed(http))]
            await asyncio.gather(*clients)

    def wait_until_settled(self) -> None:
        """Return when all connections and processes are what they were at the beginning."""
        until(lambda: len(self._children()) <= self._processes, SETTLED_S, "the processes end")
        most = self._descriptors + MORE_DESCRIPTORS
        until(lambda: self.server.descriptors() <= most, SETTLED_S, "the descriptors are closed")

    async def _repeat(self, action: Callable[[], Awaitable[None]]) -> None:
        while time.monotonic() < self._until:
            await action()

    async def _post(self, http: httpx.AsyncClient, path: str, body: Any, *also: str) -> Any:
        """The answer, or None; `also` are further codes that may come."""
        try:
            answer = await http.post(path, json=body)
        except httpx.HTTPError as error:
            self.wrong.append(f"{path}: {type(error).__name__}")
            return None
        found = answer.json()
        code = "ok" if answer.status_code == 200 else found["code"]
        self.ends[code] += 1
        if code != "ok" and code not in TYPED | set(also):
            self.wrong.append(f"{path}: {code}, {found}")
        return found if code == "ok" else None

    async def _echo(self, http: httpx.AsyncClient, model: str) -> None:
        rows = self._random.choice([1, 1, 1, 2, 3, LARGE_ROWS])
        sent = np.full((rows, 4), next(self._marks), dtype=np.int64).tobytes()
        tensor = {
            "name": "x",
            "datatype": "INT64",
            "shape": [rows, 4],
            "data": base64.b64encode(sent).decode(),
        }
        body = {"model": model, "inputs": [tensor], "raw": True}
        found = await self._post(http, "/v1/models/infer", body)
        if found is not None and base64.b64decode(found["outputs"][0]["data"]) != sent:
            self.wrong.append(f"{model}: another's answer")

    async def _leave(self, http: httpx.AsyncClient) -> None:
        """Call for what takes seconds, and leave before the answer."""
        ones = base64.b64encode(np.ones((2000, 256), np.float32).tobytes()).decode()
        tensor = {"name": "x", "datatype": "FP32", "shape": [2000, 256], "data": ones}
        body = {"model": "slow", "inputs": [tensor], "raw": True}
        try:
            answer = await http.post(
                "/v1/models/infer", json=body, timeout=self._random.uniform(0.05, 0.3)
            )
        except httpx.TimeoutException:
            self.ends["left"] += 1
        except httpx.HTTPError as error:
            self.wrong.append(f"slow: {type(error).__name__}")
        else:
            self.ends["ok" if answer.status_code == 200 else answer.json()["code"]] += 1

    async def _talk(self, http: httpx.AsyncClient, door: Door) -> None:
        """A conversation that is answered whole and right, or ends with an error."""
        try:
            heard = await door.follow(http, door.body(FRANCE), lambda: None)
        except httpx.HTTPError as error:
            self.wrong.append(f"{door.name}: {type(error).__name__}")
            return
        self.ends["ok" if not heard.error else "talk ended"] += 1
        if not heard.whole or not PARIS.startswith(heard.text):
            self.wrong.append(f"{door.name}: {heard}")
        if not heard.error and heard.text != PARIS:
            self.wrong.append(f"{door.name}: {heard.text}")

    async def _hang_up(self, http: httpx.AsyncClient) -> None:
        """Leave in the middle of a text, or before it has begun."""
        door = self._random.choice(DOORS)
        try:
            async with asyncio.timeout(self._random.uniform(0.01, 0.5)):
                await door.follow(http, door.endless(), lambda: None)
        except TimeoutError:
            self.ends["left"] += 1
        except httpx.HTTPError as error:
            self.wrong.append(f"{door.name}: {type(error).__name__}")

    async def _embed(self, http: httpx.AsyncClient) -> None:
        found = await self._post(http, "/v1/text/embed", {"model": "tinylm", "texts": [FRANCE]})
        if found is not None and len(found["vectors"]) != 1:
            self.wrong.append(f"embed: {found}")
        await asyncio.sleep(0.05)

    async def _move(self, http: httpx.AsyncClient) -> None:
        """Load a model anew under its callers, or unload it."""
        if self._random.random() < 0.5:
            await self._post(http, "/v1/models/load", {"model": "moving", "fresh": True})
        else:
            await self._post(http, "/v1/models/unload", {"model": "moving"}, "not_found")
        await asyncio.sleep(self._random.uniform(0.0, 0.2))

    async def _damaged(self, http: httpx.AsyncClient) -> None:
        await self._post(http, "/v1/models/load", {"model": "damaged"}, "invalid_input")
        await asyncio.sleep(0.5)

    async def _lease(self, http: httpx.AsyncClient) -> None:
        found = await self._post(http, "/v1/resources/lease", {"size_bytes": 1 << 20})
        if found is not None:
            await self._post(http, "/v1/resources/release", {"lease": found["lease"]})
        await asyncio.sleep(0.02)

    async def _look(self) -> None:
        self.server.look()
        await asyncio.sleep(LOOK_S)

    async def _kill(self) -> None:
        """Kill the process of a model every second or so."""
        await asyncio.sleep(self._random.uniform(0.5, 2.0))
        models = sorted(await asyncio.to_thread(self._children) - self._others)
        if models:
            try:
                os.kill(self._random.choice(models), signal.SIGKILL)
            except ProcessLookupError:  # it ended by itself
                return
            self.kills += 1

    def _children(self) -> set[int]:
        """The server's processes that are up."""
        children = psutil.Process(self._pid).children(recursive=True)
        return {each.pid for each in children if _is_up(each)}


def _is_up(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False
