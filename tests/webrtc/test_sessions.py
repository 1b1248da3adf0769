"""WebRTC with a real server and aiortc as the peer: connections, keys, limits, and what is junk."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from sensorium.control.keys import KeyStore
from tests.servers import Server, serving
from tests.webrtc.peer import Peer

KEY = "a-key-of-the-tests"
WAIT_S = 20.0
GONE_S = 20.0


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving("--mode", "http,webrtc", "--webrtc-max-sessions", "6") as opened:
        opened.wait_until_ready()
        yield opened


@pytest.fixture
def impatient() -> Iterator[Server]:
    """A server that soon ends sessions that are not used; what is junk is no use."""
    flags = ("--webrtc-connect-s", "6", "--webrtc-idle-s", "5")
    with serving("--mode", "http,webrtc", *flags) as opened:
        opened.wait_until_ready()
        yield opened


@asynccontextmanager
async def client(server: Server, key: str | None = None) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"x-api-key": key} if key else {}
    async with httpx.AsyncClient(base_url=server.url, headers=headers, timeout=30) as http:
        yield http


@asynccontextmanager
async def connected(server: Server, key: str | None = None) -> AsyncIterator[Peer]:
    async with client(server, key) as http:
        peer = Peer()
        try:
            yield await peer.connect(http)
        finally:
            await peer.close()


async def offer_of_nobody() -> str:
    """A description of a peer that does not wait for the answer."""
    peer = Peer()
    try:
        return await peer.offer()
    finally:
        await peer.close()


async def until(condition: Callable[[], Awaitable[bool]], what: str, seconds: float) -> None:
    end = time.monotonic() + seconds
    while not await condition():
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        await asyncio.sleep(0.02)


async def sessions(http: httpx.AsyncClient) -> list[dict[str, object]]:
    answer = await http.get("/v1/webrtc/sessions")
    found: list[dict[str, object]] = answer.json()["sessions"]
    return found


async def in_flight(http: httpx.AsyncClient) -> float:
    lines = (await http.get("/metrics")).text.splitlines()
    gauges = ("sensorium_calls_in_flight{", "sensorium_slots_in_use{")
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(gauges))


def test_the_door_says_that_it_is_ready(server: Server) -> None:
    with server.client() as http:
        assert http.get("/readyz").json()["doors"]["webrtc"] == "ready"


def test_calls_and_streams_go_over_a_data_channel(server: Server) -> None:
    async def talk() -> None:
        async with connected(server) as peer:
            big = 'é"x' * 100_000  # comes back in parts, and goes in parts
            answer = await peer.ask(1, "system.echo", {"text": big})
            assert answer["data"]["text"] == big
            items = [each async for each in peer.call(2, "testing.count", {"count": 3})]
            assert [list(each) for each in items] == [["id", "chunk"]] * 3 + [["id", "end"]]
            error = await peer.ask(3, "system.echo", {"text": 1})
            assert error["error"]["code"] == "invalid_input"

    asyncio.run(talk())


def test_a_session_belongs_to_its_key(tmp_path: Path) -> None:
    store = KeyStore(tmp_path)
    narrow, text = store.create("narrow", ("webrtc.*", "system.echo"))
    environ = {"SENSORIUM_API_KEYS": KEY, "SENSORIUM_DATA_DIR": str(tmp_path)}
    with serving("--mode", "http,webrtc", environ=environ) as server:

        async def talk() -> None:
            offer = await offer_of_nobody()
            async with client(server) as http:
                answer = await http.post("/v1/webrtc/offer", json={"sdp": offer})
                assert answer.status_code == 401
            async with connected(server, text) as peer, client(server, KEY) as other:
                assert (await peer.ask(1, "system.echo", {}))["data"]
                refused = await peer.ask(2, "system.activity", {})
                assert refused["error"]["code"] == "forbidden"
                assert await sessions(other) == []
                closing = await other.post("/v1/webrtc/close", json={"session": peer.session})
                assert closing.status_code == 404
                store.revoke(narrow.id)

                async def revoked() -> bool:
                    answer = await peer.ask(3, "system.echo", {})
                    return bool(answer.get("error", {}).get("code") == "unauthenticated")

                await until(revoked, "a revoked key calls nothing more", WAIT_S)

        asyncio.run(talk())


def test_a_call_is_stopped_when_the_peer_leaves(server: Server) -> None:
    async def leave() -> None:
        async with client(server) as http:
            async with connected(server) as peer:
                call = {"id": 1, "op": "testing.thread", "data": {"token": "a", "seconds": 60}}
                await peer.send(json.dumps(call))
                await until(lambda: _is(in_flight(http), 2), "it runs", WAIT_S)
            await until(lambda: _is(in_flight(http), 0), "it is stopped", GONE_S)

    asyncio.run(leave())


def test_a_session_ends_when_asked_for_when_idle_and_when_never_connected(
    impatient: Server,
) -> None:
    server = impatient

    async def end() -> None:
        async with client(server) as http:
            async with connected(server) as peer:
                assert [each["session"] for each in await sessions(http)] == [peer.session]
                closed = await http.post("/v1/webrtc/close", json={"session": peer.session})
                assert closed.status_code == 200
                assert await sessions(http) == []
                assert [message async for message in peer] == []  # the channel is closed
            await http.post("/v1/webrtc/offer", json={"sdp": await offer_of_nobody()})
            assert len(await sessions(http)) == 1
            await until(lambda: _none(http), "it never connects", 40)
            async with connected(server):
                assert len(await sessions(http)) == 1
                await until(lambda: _none(http), "it is idle", 40)

    asyncio.run(end())


def test_no_more_sessions_than_there_may_be(server: Server) -> None:
    async def fill() -> None:
        async with client(server) as http:
            sdp = await offer_of_nobody()
            answers = [await http.post("/v1/webrtc/offer", json={"sdp": sdp}) for _ in range(7)]
            assert [each.status_code for each in answers] == [200] * 6 + [503]
            assert answers[-1].json()["code"] == "overloaded"
            assert answers[-1].headers["retry-after"]
            for answer in answers[:6]:
                await http.post("/v1/webrtc/close", json={"session": answer.json()["session"]})
            assert await sessions(http) == []

    asyncio.run(fill())


def test_descriptors_and_tasks_are_given_back(server: Server) -> None:
    async def come_and_go() -> None:
        process = psutil.Process(server.process.pid)
        async with client(server) as http:
            async with connected(server):
                pass
            await until(lambda: _none(http), "the first is gone", WAIT_S)
            before = process.num_fds()
            for _ in range(10):
                async with connected(server) as peer:
                    assert (await peer.ask(1, "system.echo", {}))["data"]
            await until(lambda: _none(http), "all are gone", WAIT_S)

            async def given_back() -> bool:
                return process.num_fds() <= before

            await until(given_back, "sockets are closed", WAIT_S)

    asyncio.run(come_and_go())


def test_browsers_are_told_of_the_servers_that_are_set() -> None:
    flags = ("--webrtc-ice-servers", "stun:192.0.2.1:3478,turn:192.0.2.1:3478")
    environ = {"SENSORIUM_WEBRTC_ICE_CREDENTIAL": "secret"}
    user = ("--webrtc-ice-username", "ada")
    with serving("--mode", "web", *flags, *user, environ=environ) as other, other.client() as http:
        told = http.get("/v1/webrtc/ice_servers").json()["ice_servers"]
    login = {"username": "ada", "credential": "secret"}
    assert told == [{"urls": f"{kind}:192.0.2.1:3478", **login} for kind in ("stun", "turn")]


def test_no_server_is_asked_unless_it_is_set(server: Server) -> None:
    with server.client() as http:
        assert http.get("/v1/webrtc/ice_servers").json() == {"ice_servers": []}


VIDEO_OF = "\r\n".join(
    (
        "v=0",
        "o=- 1 1 IN IP4 127.0.0.1",
        "s=-",
        "t=0 0",
        "a=group:BUNDLE 0",
        "m=video 9 UDP/TLS/RTP/SAVPF 98",
        "c=IN IP4 0.0.0.0",
        "a=ice-ufrag:abcd",
        "a=ice-pwd:abcdefghijklmnopqrstuvwx",
        "a=fingerprint:sha-256 " + ":".join(["AB"] * 32),
        "a=setup:actpass",
        "a=mid:0",
        "a=sendonly",
        "a=rtcp-mux",
        "a=rtpmap:98 {codec}/90000",
        "",
    )
)
JUNK = (
    *("", "v=0", "hello", "\x00" * 100, "v=0\r\nm=video", "m=audio 9 X 0\r\n" * 3),
    *("a=candidate:" * 500, "v=0\r\n" + "m=application 9 UDP/DTLS/SCTP x\r\na=mid:0\r\n"),
    VIDEO_OF.replace("sha-256", "sha-9"),
    VIDEO_OF.format(codec="VP8").replace("a=ice-ufrag:abcd\r\n", ""),
    VIDEO_OF.format(codec="VP8").replace("m=video", "m=video 9 a\r\n" * 20 + "m=video"),
)


@pytest.mark.parametrize("codec", ["VP9", "AV1"])
def test_a_codec_that_is_not_served_is_said_clearly(server: Server, codec: str) -> None:
    with server.client() as http:
        answer = http.post("/v1/webrtc/offer", json={"sdp": VIDEO_OF.format(codec=codec)})
        assert answer.status_code == 422
        assert "VP8 or H264" in answer.json()["detail"]
        assert answer.json()["details"]["video"] == ["VP8", "H264"]


@pytest.mark.parametrize("sdp", JUNK, ids=range(len(JUNK)))
def test_junk_for_a_description_is_refused(server: Server, sdp: str) -> None:
    with server.client() as http:
        answer = http.post("/v1/webrtc/offer", json={"sdp": sdp})
        assert answer.status_code == 422, answer.text
        assert http.get("/v1/webrtc/sessions").json() == {"sessions": []}


@pytest.mark.parametrize("text", ["nonsense", "candidate:1 1 udp", "candidate:" + "9 " * 300])
def test_junk_for_a_candidate_is_refused(server: Server, text: str) -> None:
    async def offer() -> None:
        async with client(server) as http:
            offered = await http.post("/v1/webrtc/offer", json={"sdp": await offer_of_nobody()})
            session = offered.json()["session"]
            body = {"session": session, "candidate": text, "sdp_mid": "0"}
            answer = await http.post("/v1/webrtc/candidate", json=body)
            assert answer.status_code == 422
            assert (await http.post("/v1/webrtc/close", json={"session": session})).is_success

    asyncio.run(offer())


def test_junk_on_a_channel_is_answered_and_survived(server: Server) -> None:
    async def talk() -> None:
        async with connected(server) as peer:
            messages = aiter(peer)
            part = json.dumps({"id": 1, "part": "x", "more": True})
            for junk in ("{", "[]", "\x00\xff", '{"id":1}', '{"part":1}'):
                peer.channel.send(junk)
                assert "error" in json.loads(await anext(messages)), junk
            peer.channel.send(b"\xff\xfe\x00")
            assert "error" in json.loads(await anext(messages))
            peer.channel.send(part)
            peer.channel.send('{"id":2,"op":"system.echo"}')
            assert "between the parts" in json.loads(await anext(messages))["error"]["message"]
            for number in range(500):  # 5 MB, of which 4 are taken
                peer.channel.send(json.dumps({"id": 1, "part": "x" * 10_000, "more": number < 499}))
            assert json.loads(await anext(messages))["error"]["code"] == "payload_too_large"
            assert (await peer.ask(9, "system.echo", {"text": "still"}))["data"]

    asyncio.run(talk())


async def _is(figure: Awaitable[float], wanted: float) -> bool:
    return await figure == wanted


async def _none(http: httpx.AsyncClient) -> bool:
    return await sessions(http) == []
