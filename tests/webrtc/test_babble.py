"""Random and spoilt bytes over a data channel, below it and beside it: nothing is kept of them."""

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conformance.loop import BackgroundLoop
from tests.faults.observing import until
from tests.faults.test_babble import babble, bounded, footing, stands
from tests.servers import Server, serving
from tests.webrtc.peer import Peer

GOOD = b'{"id": 1, "op": "testing.inline", "data": {"token": "abc"}}'
PART = b'{"id": 1, "part": "{\\"id\\": 1, ", "more": true}'
BACK_S = 10.0


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving("--mode", "web", "--workers", "2") as opened:
        opened.wait_until_ready()
        yield opened


@pytest.fixture
def loop() -> Iterator[BackgroundLoop]:
    running = BackgroundLoop()
    yield running
    running.close()


async def connected(server: Server) -> Peer:
    async with httpx.AsyncClient(base_url=server.url, timeout=30) as http:
        return await Peer().connect(http)


async def say(peer: Peer, sent: bytes, how: str) -> None:
    """Send bytes as a message, as text where they are some, or as a packet of the connection."""
    transport: Any = peer.connection.sctp
    if how == "packet":
        await transport.transport.transport._send(sent)
    elif how == "text":
        peer.channel.send(sent.decode("utf-8", "replace"))
    else:
        peer.channel.send(sent)
    await asyncio.sleep(0)


async def echo(peer: Peer) -> None:
    """A call is answered, after whatever else is still to be heard."""
    await peer.send('{"id": "ours", "op": "system.echo", "data": {"text": "here"}}')
    await peer.send('{"id": "again", "op": "system.echo", "data": {"text": "here"}}')
    async with asyncio.timeout(20):
        async for message in peer:
            if message.startswith(b'{"id":"again","data":'):  # the first may have ended parts
                return
    raise AssertionError("the channel was closed")


@pytest.mark.filterwarnings("ignore:Do not use the `random` module")
def test_babble_over_a_connection(server: Server, loop: BackgroundLoop) -> None:
    process = psutil.Process(server.process.pid)

    def now() -> tuple[int, int, int]:
        with server.client() as http:
            return footing(process, http.get("/v1/testing/tasks").json()["index"])

    first = loop.run(connected(server))
    loop.run(echo(first))
    loop.run(first.close())
    until(lambda: _sessions(server) == [], BACK_S)
    before = now()
    peer = loop.run(connected(server))

    @bounded
    @given(babble(GOOD) | babble(PART), st.sampled_from(["text", "bytes", "packet"]))
    def said(sent: bytes, how: str) -> None:
        loop.run(say(peer, sent, how))

    said()
    loop.run(echo(peer))
    loop.run(peer.close())
    until(lambda: _sessions(server) == [], BACK_S, "the session ends")
    until(lambda: stands(now(), before), BACK_S, f"as {before}; it is {now()}")
    assert not [line for line in server.whole_log() if "Traceback" in line]


def _sessions(server: Server) -> list[Any]:
    with server.client() as http:
        found: list[Any] = http.get("/v1/webrtc/sessions").json()["sessions"]
    return found
