"""Restarted under load: no wrong answer, at worst a clear error, and on it goes."""

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from itertools import count, cycle

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage

from sensorium.client import AsyncSensorium
from tests.servers import reserved_port, serving

EACH_PHASE = 100
"""So many answers each client gets before the restart, and so many after it."""
AT_ONCE = 5
LATE_S = 20.0
PAUSE_S = 0.01
VERBS = ("inline", "process", "thread")
CLEAR = {"ok", "unavailable", "no connection", "lost"}
"""How a call may end; it is lost when the server closes its connection at that moment."""
NO_CONNECTION = (ConnectionRefusedError, ConnectionResetError, InvalidHandshake, InvalidMessage)


class Load:
    """Clients that call on and on; each counts how its calls ended."""

    def __init__(self, url: str) -> None:
        self.wrong: list[str] = []
        self.ends: dict[str, Counter[str]] = {}
        self._url = url
        self._tokens = count()
        self._over = False
        self._changed = asyncio.Event()

    async def run(self, restart: Callable[[], Awaitable[None]]) -> None:
        """Have everybody call, the server restarted in the middle."""
        clients = [
            *(self._over_http(f"http {number}") for number in range(3)),
            *(self._over_websocket(f"websocket {number}") for number in range(2)),
            self._with_our_client("ours"),
        ]
        async with asyncio.TaskGroup() as group, asyncio.timeout(3 * LATE_S):
            for client in clients:
                group.create_task(client)
            await self._answered_more(len(clients))
            await restart()
            await self._answered_more(len(clients))
            self._over = True

    async def _answered_more(self, clients: int) -> None:
        """Return when each client has had some more answers."""
        before = {client: ends["ok"] for client, ends in self.ends.items()}

        def enough(client: str) -> bool:
            return self.ends[client]["ok"] >= before.get(client, 0) + EACH_PHASE

        while len(self.ends) < clients or not all(map(enough, self.ends)):
            self._changed.clear()
            await self._changed.wait()

    def _ended(self, client: str, how: str) -> None:
        self.ends.setdefault(client, Counter())[how] += 1
        self._changed.set()

    def _answered(self, client: str, sent: str, got: object) -> None:
        if sent != got:
            self.wrong.append(f"{client}: {got} came for {sent}")
        self._ended(client, "ok")

    def _token(self) -> str:
        return f"token-{next(self._tokens)}"

    async def _over_http(self, client: str) -> None:
        async with httpx.AsyncClient(base_url=self._url, timeout=LATE_S) as http:
            for verb in cycle(VERBS):
                if self._over:
                    return
                token = self._token()
                try:
                    answer = await http.post(f"/v1/testing/{verb}", json={"token": token})
                except httpx.ConnectError:
                    self._ended(client, "no connection")
                    await asyncio.sleep(PAUSE_S)
                    continue
                except (httpx.NetworkError, httpx.RemoteProtocolError):
                    self._ended(client, "lost")
                    continue
                found = answer.json()
                if answer.status_code == 200:
                    self._answered(client, token, found["token"])
                else:
                    self._ended(client, found["code"])

    async def _over_websocket(self, client: str) -> None:
        address = self._url.replace("http", "ws", 1) + "/v1/ws"
        while not self._over:
            try:
                async with connect(address, open_timeout=LATE_S) as connection:
                    while not self._over:
                        await self._some(client, connection)
            except ConnectionClosed:
                self._ended(client, "lost")
            except NO_CONNECTION:
                self._ended(client, "no connection")
                await asyncio.sleep(PAUSE_S)

    async def _some(self, client: str, connection: ClientConnection) -> None:
        """A few calls at once, each of which ends once while the connection lasts."""
        waiting = {number: self._token() for number in range(AT_ONCE)}
        for number, token in waiting.items():
            call = {
                "id": number,
                "op": f"testing.{VERBS[number % len(VERBS)]}",
                "data": {"token": token},
            }
            await connection.send(json.dumps(call))
        async with asyncio.timeout(LATE_S):
            while waiting:
                heard = json.loads(await connection.recv())
                token = waiting.pop(heard["id"])
                if "data" in heard:
                    self._answered(client, token, heard["data"]["token"])
                else:
                    self._ended(client, heard["error"]["code"])

    async def _with_our_client(self, client: str) -> None:
        """Whose calls that change nothing are tried again, so that each is answered."""
        async with AsyncSensorium(self._url, timeout_s=LATE_S, retries=8) as there:
            while not self._over:
                token = self._token()
                echoed = await there.system.echo(text=token)
                self._answered(client, token, echoed.text)


def test_a_restart_under_load() -> None:
    with ExitStack() as servers:
        flags = ("--port", str(servers.enter_context(reserved_port())), "--workers", "2")
        first = servers.enter_context(serving(*flags))
        load = Load(first.url)

        async def restart() -> None:
            assert await asyncio.to_thread(first.stop) == 0
            await asyncio.to_thread(servers.enter_context, serving(*flags))

        asyncio.run(load.run(restart))
    assert not load.wrong, load.wrong[:10]
    for client, ends in load.ends.items():
        assert ends.keys() <= CLEAR, (client, ends)
        assert ends.total() - ends["ok"] > 0 or client == "ours", "the restart was noticed"
    assert load.ends["ours"].keys() == {"ok"}
