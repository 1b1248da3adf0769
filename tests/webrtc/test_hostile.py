"""What a peer could do to the server, or to others, and may not."""

import asyncio
import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import av
import psutil
import pytest
from aiortc import RTCRtpSender
from aiortc.exceptions import InvalidStateError
from aiortc.rtcsctptransport import (
    SCTP_DATA_FIRST_FRAG,
    DataChunk,
)

from sensorium.control.measuring import measure
from sensorium.core.operation import operation_of
from sensorium.transports.parts import Joiner
from sensorium.transports.webrtc import library, media
from tests.servers import Server, serving
from tests.webrtc.test_media import Red, talking
from tests.webrtc.test_sessions import (
    VIDEO_OF,
    _is,
    client,
    connected,
    in_flight,
    offer_of_nobody,
    sessions,
    until,
)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving("--mode", "web", "--webrtc-max-sessions", "6", "--webrtc-idle-s", "5") as opened:
        opened.wait_until_ready()
        yield opened


@pytest.mark.parametrize("separator", ["\n", "\r\n", "\r", "\x0b", "\x0c", "\u2028"])
def test_media_and_candidates_are_counted_as_the_library_counts_lines(
    server: Server, separator: str
) -> None:
    media = separator.join(["v=0", *["m=video 9 UDP/TLS/RTP/SAVPF 98"] * 5])
    candidates = separator.join([VIDEO_OF, *["a=candidate:1 1 udp 1 192.0.2.9 9 typ host"] * 101])
    with server.client() as http:
        for sdp in (media, candidates):
            answer = http.post("/v1/webrtc/offer", json={"sdp": sdp})
            assert answer.status_code == 422
            assert "at most" in answer.json()["detail"]


def test_offers_at_once_are_no_more_than_there_may_be(server: Server) -> None:
    async def rush() -> None:
        async with client(server) as http:
            body = {"sdp": await offer_of_nobody()}
            answers = await asyncio.gather(
                *(http.post("/v1/webrtc/offer", json=body) for _ in range(30))
            )
            taken = [each.json()["session"] for each in answers if each.is_success]
            assert len(taken) == 6
            for session in taken:
                await http.post("/v1/webrtc/close", json={"session": session})

    asyncio.run(rush())


def test_a_picture_that_claims_to_be_huge_is_not_decoded() -> None:
    """A key frame of VP8 of 16,383 x 16,383 in 36 bytes takes 900 MB where it is."""
    (vp8,) = [c for c in RTCRtpSender.getCapabilities("video").codecs if c.mimeType == "video/VP8"]
    decoder = library._decoder(vp8)
    huge = b"\x10\x00\x00" + library.KEY_FRAME + b"\xff\x3f\xff\x3f" + bytes(26)
    before = _mib(os.getpid())
    assert decoder.decode(_Frame(huge)) == []
    assert _mib(os.getpid()) - before < 50
    small = av.CodecContext.create("libvpx", "w")
    small.width, small.height, small.pix_fmt = 64, 48, "yuv420p"
    (packet, *_) = [*small.encode(av.VideoFrame(64, 48, "yuv420p")), *small.encode(None)]
    assert [each.width for each in decoder.decode(_Frame(bytes(packet)))] == [64]


class _Frame:
    """A frame as the library has it when all its packets are there."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.timestamp = 0


def test_a_message_without_an_end_is_cut_off(server: Server) -> None:
    """The library would look through all that came of it at each further piece."""

    async def pour() -> float:
        async with connected(server) as peer:
            transport: Any = peer.connection.sctp
            tsn, size = transport._local_tsn, 1100
            for number in range((3 << 20) // size):
                chunk = DataChunk(flags=SCTP_DATA_FIRST_FRAG if number == 0 else 0)
                chunk.tsn, tsn = tsn, (tsn + 1) % (1 << 32)
                chunk.stream_id, chunk.stream_seq, chunk.protocol = 1, 0, 51
                chunk.user_data = bytes(size)
                await transport._send_chunk(chunk)
                if number % 50 == 0:
                    await asyncio.sleep(0)
            async with client(server) as http:
                began = time.monotonic()
                await http.get("/v1/health")
                answered = time.monotonic() - began
                while await sessions(http):
                    assert time.monotonic() - began < 40
                    await asyncio.sleep(0.05)
            return answered

    assert asyncio.run(pour()) < 1


def test_answers_that_nobody_reads_are_bounded(server: Server) -> None:
    """The peer asks for more than 64 MiB, and acknowledges nothing of it."""

    async def ask() -> None:
        before = _mib(server.process.pid)
        async with connected(server) as peer:
            transport: Any = peer.connection.sctp
            big = json.dumps({"token": "x" * 900_000})
            for number in range(120):
                head = json.dumps({"id": number, "op": "testing.inline"})
                await peer.send(head[:-1] + ', "data": ' + big + "}")
                if number == 0:
                    transport._send_sack = _nothing
                await asyncio.sleep(0.005)
            async with client(server) as http:
                end = time.monotonic() + 60
                while await sessions(http):
                    assert time.monotonic() < end, await sessions(http)
                    await asyncio.sleep(0.1)
        assert _mib(server.process.pid) - before < 250

    asyncio.run(ask())


async def _nothing() -> None:
    return


def _mib(process_id: int) -> float:
    return float(psutil.Process(process_id).memory_info().rss / (1 << 20))


def test_a_session_in_use_lives_on_and_one_that_babbles_does_not(server: Server) -> None:
    async def use() -> None:
        async with client(server) as http, connected(server) as peer:
            call = {"token": "a", "seconds": 6}
            assert "data" in await peer.ask(1, "testing.thread", call)  # longer than idle_s
            await asyncio.sleep(1.5)
            assert len(await sessions(http)) == 1
            end = time.monotonic() + 40
            while await sessions(http):
                assert time.monotonic() < end, "junk counts as use"
                with suppress(InvalidStateError):  # closed meanwhile, as it should be
                    peer.channel.send("{")
                await asyncio.sleep(0.2)

    asyncio.run(use())


def test_a_peer_may_change_its_codec_and_is_heard_on() -> None:
    convert = media._converter(media.Audio)
    opus = av.AudioFrame(format="s16", layout="stereo", samples=960)
    opus.sample_rate = 48_000
    pcmu = av.AudioFrame(format="s16", layout="mono", samples=160)
    pcmu.sample_rate = 8_000

    class Track:
        kind = "audio"

        def __init__(self) -> None:
            self.frames = [opus, pcmu, pcmu, None]

        async def recv(self) -> Any:
            frame = self.frames.pop(0)
            if frame is None:
                raise media.MediaStreamError
            return frame

    async def listen() -> list[float]:
        tracks, heard, ended = media.PeerTracks(), [], []
        tracks._live = 1
        tracks.feed(
            operation_of(measure),
            lambda item, _: heard.append(item.audio.seconds),
            lambda: ended.append(True),
        )
        tracks._live = 0
        await tracks.pump(Track())
        assert ended == [True]
        return heard

    assert convert(opus).seconds > 0
    assert len(asyncio.run(listen())) >= 2


def test_a_call_from_tracks_ends_with_them(server: Server) -> None:
    async def hang_up() -> list[Any]:
        camera = Red()
        peer = await talking(server, (camera,))
        try:
            seen = []
            async for message in peer.call(1, "system.measure", {"every": 5}, tracks=True):
                seen.append(message)
                if len(seen) == 2:
                    await peer.connection.getSenders()[0].stop()
            return seen
        finally:
            await peer.close()

    assert "end" in asyncio.run(asyncio.wait_for(hang_up(), 60))[-1]


def test_a_stopping_server_tells_its_peers() -> None:
    """What runs may finish; what comes new does not begin, on a new channel either."""

    async def stop(server: Server) -> tuple[Any, Any]:
        async with connected(server) as peer:
            heard = aiter(peer)
            for number, seconds in ((1, 3), (2, 60)):
                call = {"id": number, "op": "testing.thread"}
                data = {"token": "a", "seconds": seconds}
                await peer.send(json.dumps({**call, "data": data}))
            async with client(server) as http:
                # Two calls, and their slots.
                await until(lambda: _is(in_flight(http), 4), "both run", 20)
            server.process.send_signal(signal.SIGTERM)
            first = json.loads(await asyncio.wait_for(anext(heard), 30))
            late = peer.connection.createDataChannel("late")
            closed = asyncio.Event()
            late.on("close", closed.set)
            await asyncio.wait_for(closed.wait(), 30)
            last = json.loads(await asyncio.wait_for(anext(heard), 30))
            return first, last

    with serving("--mode", "web", "--drain-s", "6") as server:
        server.wait_until_ready()
        first, last = asyncio.run(stop(server))
        assert first["id"] == 1
        assert first["data"]["token"] == "a"
        assert last["id"] == 2
        assert last["error"]["code"] == "unavailable"
        assert server.process.wait(60) == 0


@pytest.mark.parametrize("pieces", [[b""], [b"\xff"]])
def test_a_joiner_takes_what_are_no_parts(pieces: list[bytes]) -> None:
    assert Joiner(100).add(pieces[0]) == pieces[0]


def test_empty_parts_do_not_pile_up() -> None:
    joiner = Joiner(10_000)
    for _ in range(1000):
        joiner.add(b'{"id":1,"part":"","more":true}')
    assert len(joiner._pieces) < 200


def test_a_name_that_hides_an_address_is_not_looked_up(server: Server) -> None:
    sdp = asyncio.run(offer_of_nobody())
    hidden = "a=candidate:1 1 udp 2113937151 a-b-c.local 4444 typ host\r\n"
    with server.client() as http:
        began = time.monotonic()
        answer = http.post("/v1/webrtc/offer", json={"sdp": sdp + hidden * 20})
        assert answer.is_success
        assert time.monotonic() - began < 4
        session = answer.json()["session"]
        more = {"session": session, "candidate": hidden[2:].strip(), "sdp_mid": "0"}
        assert http.post("/v1/webrtc/candidate", json=more).is_success
        assert http.post("/v1/webrtc/close", json={"session": session}).is_success
