"""Rooms: who is in hears who comes, who goes and what they say, and nothing else."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.client import connect

from sensorium.core.errors import OverloadedError
from sensorium.transports.webrtc import rooms
from sensorium.transports.webrtc.schema import Signal
from tests.servers import Server, serving


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving() as opened:
        yield opened


class Member:
    """Somebody in a room, over a WebSocket."""

    def __init__(self, socket: Any) -> None:
        self._socket = socket

    async def hears(self) -> dict[str, Any]:
        message = json.loads(await asyncio.wait_for(self._socket.recv(), 30))
        found: dict[str, Any] = message.get("chunk", message)
        return found

    async def says(self, data: Any, to: int | None = None) -> None:
        await self._socket.send(json.dumps({"id": 1, "chunk": {"data": data, "to": to}}))

    async def leaves(self) -> None:
        await self._socket.send(json.dumps({"id": 1, "end": {}}))


@asynccontextmanager
async def joined(server: Server, room: str) -> AsyncIterator[Member]:
    async with connect(server.ws_url) as socket:
        await socket.send(json.dumps({"id": 1, "op": "webrtc.join", "data": {"room": room}}))
        yield Member(socket)


def test_members_hear_each_other_and_nobody_else(server: Server) -> None:
    async def meet() -> None:
        async with joined(server, "a") as one, joined(server, "b") as stranger:
            welcome = {"kind": "welcome", "peer": 1, "peers": [], "data": None}
            assert await one.hears() == welcome
            assert await stranger.hears() == welcome
            async with joined(server, "a") as two, joined(server, "a") as three:
                first, second = await two.hears(), await three.hears()
                assert sorted([first["peer"], second["peer"]]) == [2, 3]
                assert [(await one.hears())["kind"] for _ in range(2)] == ["joined", "joined"]
                late, early = (two, three) if first["peer"] == 3 else (three, two)
                assert (await early.hears())["kind"] == "joined"
                await one.says({"offer": 1}, to=3)
                assert (await late.hears())["data"] == {"offer": 1}
                await late.says("all")
                for each in (one, early):
                    said = await each.hears()
                    assert (said["kind"], said["peer"], said["data"]) == ("signal", 3, "all")
                await early.leaves()
                assert await early.hears() == {"id": 1, "end": {}}
                for each in (one, late):
                    assert await each.hears() == {
                        "kind": "left",
                        "peer": 2,
                        "peers": [],
                        "data": None,
                    }
            assert (await one.hears())["kind"] == "left"  # whose socket closed
            await stranger.says("still here")
            async with joined(server, "b") as friend:
                assert (await friend.hears())["peers"] == [1]
                assert (await stranger.hears())["kind"] == "joined"

    asyncio.run(meet())


def test_a_room_has_so_many_peers_and_no_more(server: Server) -> None:
    async def crowd() -> None:
        members = [joined(server, "full") for _ in range(rooms.MAX_PEERS)]
        for each in members:
            await (await each.__aenter__()).hears()
        async with joined(server, "full") as late:
            assert (await late.hears())["error"]["code"] == "overloaded"
        for each in members:
            await each.__aexit__(None, None, None)

    asyncio.run(crowd())


def test_bad_signals_end_the_stay(server: Server) -> None:
    async def mumble() -> None:
        async with joined(server, "c") as one:
            await one.hears()
            await one.says("hello", to=-1)
            assert (await one.hears())["error"]["code"] == "invalid_input"

    asyncio.run(mumble())


def test_who_does_not_keep_up_is_sent_away() -> None:
    async def flood() -> None:
        house = rooms.Rooms()
        more = asyncio.Event()

        async def silence() -> AsyncIterator[Signal]:
            await more.wait()
            yield Signal()

        async def chatter() -> AsyncIterator[Signal]:
            for _ in range(rooms.MAX_WAITING + 10):
                yield Signal()

        deaf = house.join("r", silence())
        assert (await anext(deaf)).kind == "welcome"
        assert [each.kind async for each in house.join("r", chatter())] == ["welcome"]
        heard = 0

        async def hear_the_rest() -> None:
            nonlocal heard
            async for _ in deaf:
                heard += 1

        with pytest.raises(OverloadedError):
            await hear_the_rest()
        assert heard == rooms.MAX_WAITING
        assert len(house._rooms) == 0

    asyncio.run(flood())
