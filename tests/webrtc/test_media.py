"""Pictures and sound through a connection, both ways, and packets that are junk."""

import asyncio
import os
import re
import socket
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av
import httpx
import numpy as np
import pytest
from aiortc import AudioStreamTrack, MediaStreamTrack, VideoStreamTrack

from sensorium.app import App, load_settings
from sensorium.control.measuring import SILENCE_DBFS
from sensorium.core.dispatch import Caller, Encoded
from sensorium.transports.webrtc import library
from tests.servers import Server, serving
from tests.webrtc.peer import Peer

WIDTH, HEIGHT = 64, 48
TONE_HZ, RATE_HZ = 1000, 8000


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving("--mode", "http,webrtc") as opened:
        opened.wait_until_ready()
        yield opened
        assert not [line for line in opened.whole_log() if "Traceback" in line]


class Red(VideoStreamTrack):
    """A camera that sees red."""

    async def recv(self) -> av.VideoFrame:
        pts, time_base = await self.next_timestamp()
        pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        pixels[:, :, 0] = 200
        frame = av.VideoFrame.from_ndarray(pixels, "rgb24")
        frame.pts, frame.time_base = pts, time_base
        return frame


class Tone(AudioStreamTrack):
    """A microphone that hears a tone of half the full scale: -9 dB, as a sine loses 3."""

    _at = 0

    async def recv(self) -> av.AudioFrame:
        quiet = await super().recv()  # keeps the time
        when = (self._at + np.arange(quiet.samples)) / RATE_HZ
        wave = np.round(16_384 * np.sin(2 * np.pi * TONE_HZ * when)).astype(np.int16)
        # On both sides alike, because mixing one side into two would take 3 dB.
        frame = av.AudioFrame.from_ndarray(np.repeat(wave, 2)[None, :], "s16", "stereo")
        frame.sample_rate, frame.pts = RATE_HZ, self._at
        frame.time_base = Fraction(1, RATE_HZ)
        self._at += quiet.samples
        return frame


async def talking(server: Server, tracks: tuple[MediaStreamTrack, ...] = ()) -> Peer:
    async with httpx.AsyncClient(base_url=server.url, timeout=30) as http:
        return await Peer(tracks).connect(http)


def test_pictures_and_sound_are_measured(server: Server) -> None:
    as_loud = pytest.approx(-9, abs=1.5)  # Opus is not exact

    async def measure() -> tuple[dict[str, Any], list[float]]:
        peer = await talking(server, (Red(), Tone()))
        try:
            seen: dict[str, Any] = {}
            loud: list[float] = []  # and less where packets came late and were left out
            request = {"every": 25}
            async for message in peer.call(1, "system.measure", request, tracks=True):
                seen = message.get("chunk", seen)
                loud.append(seen["loudness_dbfs"] or SILENCE_DBFS)
                enough = seen["images"] > 10 and seen["audio_s"] > 1 and max(loud) == as_loud
                if enough and "chunk" in message:
                    await peer.send('{"id": 1, "end": {}}')
            return seen, loud
        finally:
            await peer.close()

    seen, loud = asyncio.run(asyncio.wait_for(measure(), 60))
    assert (seen["width"], seen["height"]) == (WIDTH, HEIGHT)
    assert max(loud) == as_loud


def test_pictures_that_a_call_answers_with_are_shown(server: Server) -> None:
    async def look() -> np.ndarray[Any, Any]:
        peer = await talking(server, (Red(),))
        try:
            request = '{"id": 1, "op": "system.measure", "tracks": true, "data": '
            await peer.send(request + '{"every": 1, "images": true}}')
            (shown,) = peer.shown
            frame = await asyncio.wait_for(shown.recv(), 60)
            assert isinstance(frame, av.VideoFrame)
            return frame.to_ndarray(format="rgb24")
        finally:
            await peer.close()

    pixels = asyncio.run(look())
    assert pixels.shape == (HEIGHT, WIDTH, 3)
    assert pixels.mean(axis=(0, 1)) == pytest.approx([200, 0, 0], abs=12)


@pytest.mark.parametrize(
    ("name", "data"), [("testing.mirror", {}), ("system.echo", {}), ("testing.count", {})]
)
def test_what_takes_no_media_says_so(server: Server, name: str, data: Any) -> None:
    async def ask() -> Any:
        peer = await talking(server)
        try:
            (answer,) = [each async for each in peer.call(1, name, data, tracks=True)]
            return answer
        finally:
            await peer.close()

    assert asyncio.run(ask())["error"]["code"] == "not_supported"


def test_packets_of_junk_are_survived(server: Server) -> None:
    """Of every first byte, which tells STUN, DTLS and RTP apart; from the peer and a stranger."""

    async def pester() -> None:
        peer = await talking(server, (Red(), Tone()))
        try:
            assert peer.connection.sctp is not None
            ice = peer.connection.sctp.transport.transport
            (port, *_) = re.findall(
                r"candidate:\S+ 1 udp \d+ [\d.]+ (\d+)", peer.connection.remoteDescription.sdp
            )
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
                for first in range(256):
                    for size in (1, 12, 100, 1200):
                        junk = bytes([first]) + os.urandom(size - 1)
                        await ice._send(junk)
                        stranger.sendto(junk, ("127.0.0.1", int(port)))
            for number in range(3):
                answer = await asyncio.wait_for(peer.ask(number, "system.echo", {}), 60)
                assert "data" in answer
        finally:
            await peer.close()

    asyncio.run(pester())


def test_a_host_with_loopback_alone_is_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "_find_addresses", lambda _ipv4, _ipv6: [])

    async def connect() -> None:
        app = App(load_settings({}, environ={}), isolated=False)
        app.webrtc.serve()
        peer = Peer()
        async with app.running():
            try:
                body = b'{"sdp": %s}' % _quoted(await peer.offer())
                answer = await app.dispatcher.call("webrtc.offer", Encoded(body), Caller())
                sdp = re.search(rb'"sdp":"(.*)"', answer.json())
                assert sdp is not None
                text = sdp[1].decode().replace("\\r\\n", "\r\n")
                assert re.findall(r"candidate:\S+ 1 udp \d+ (\S+)", text) == ["127.0.0.1"]
                await peer.accept(text)
                assert "data" in await peer.ask(1, "system.echo", {"text": "here"})
            finally:
                await peer.close()

    asyncio.run(connect())


def _quoted(text: str) -> bytes:
    return b'"' + text.replace("\r\n", "\\r\\n").encode() + b'"'
