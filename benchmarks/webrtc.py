"""WebRTC: a data channel's call beside a bare aiortc echo, and how soon a browser is connected.

One aiortc client makes one call of `system.echo` with a kilobyte after the other, in turns over a
connection to each server; the bare one sends the message back as it came. The browser is Chromium
with its fake camera: the clock runs from the camera being there to the data channel being open;
signalling is our server's own part of it, as the browser waits for the answer to its offer.
"""

import asyncio
import json
import time
from statistics import median
from typing import Any

import httpx

from benchmarks.peer_environment import ensure
from benchmarks.report import Row, show
from benchmarks.running import Running, ours, peer
from tests.e2e.browser import browsing, tab
from tests.webrtc.peer import Peer

ROUNDS = 9
CALLS = 300
CONNECTIONS = 20
RATIO = 1.5
OPEN_MS = 60.0
SIGNALLING_MS = 15.0
MESSAGE = json.dumps({"id": 1, "op": "system.echo", "data": {"text": "x" * 1000}})
CONNECT = """(async () => {
  const began = performance.now();
  const peer = new RTCPeerConnection({ iceServers: [] });
  const channel = peer.createDataChannel("sensorium");
  const opened = new Promise((resolve) => (channel.onopen = resolve));
  for (const track of camera.getTracks()) peer.addTrack(track, camera);
  await peer.setLocalDescription();
  const offered = performance.now();
  const answer = await fetch("/v1/webrtc/offer", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ sdp: peer.localDescription.sdp }),
  });
  const { sdp } = await answer.json();
  const signalled = performance.now();
  await peer.setRemoteDescription({ type: "answer", sdp });
  await opened;
  const open = performance.now();
  peer.close();
  return { open: open - began, signalling: signalled - offered };
})()"""
CAMERA = """(async () => {
  window.camera = await navigator.mediaDevices.getUserMedia({ video: true, audio: true });
})()"""


async def connected(server: Running) -> Peer:
    """A connection to a server that has begun to answer."""
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}") as http:
        for _ in range(600):
            try:
                return await Peer().connect(http)
            except httpx.HTTPError:
                await asyncio.sleep(0.05)
    raise RuntimeError("the server took no offer")


async def seconds_of(peer: Peer) -> list[float]:
    """How long each of some calls took."""
    answered: asyncio.Queue[Any] = asyncio.Queue()
    peer.channel.remove_all_listeners("message")
    peer.channel.on("message", answered.put_nowait)
    times = []
    for _ in range(CALLS):
        began = time.perf_counter()
        peer.channel.send(MESSAGE)
        await answered.get()
        times.append(time.perf_counter() - began)
    return times


async def calls(mine: Running, bare: Running) -> list[tuple[float, float]]:
    """Medians in milliseconds, ours and the bare server's, round by round."""
    both = [await connected(server) for server in (mine, bare)]
    for each in both:
        await seconds_of(each)
    rounds = []
    for _ in range(ROUNDS):
        ours_ms, bare_ms = [1e3 * median(await seconds_of(each)) for each in both]
        rounds.append((ours_ms, bare_ms))
    for each in both:
        await each.close()
    return rounds


def connections(server: Running) -> dict[str, list[float]]:
    """What Chromium measured of connections, in milliseconds, after one that loads everything."""
    found: dict[str, list[float]] = {"open": [], "signalling": []}
    with browsing() as address, tab(address) as page:
        page.open(f"http://127.0.0.1:{server.port}/")
        page.run(CAMERA)
        page.run(CONNECT)
        for _ in range(CONNECTIONS):
            for what, value in page.run(CONNECT).items():
                found[what].append(value)
    return found


def measure() -> list[Row]:
    """The calls, then the connections."""
    ensure()
    with ours("--warm", "--mode", "http,webrtc") as server:
        with peer("bare_aiortc.py") as bare:
            rounds = asyncio.run(calls(server, bare))
        times = connections(server)
    ratio = median(own / other for own, other in rounds)
    own_ms, bare_ms = (median(each[side] for each in rounds) for side in (0, 1))
    return [
        Row(
            "data-channel call of 1 KB: p50, beside a bare aiortc echo",
            ratio,
            "x",
            f"<= {RATIO:g}x",
            ratio <= RATIO,
            f"p50 {bare_ms:.2f} ms",
            f"p50 {own_ms:.2f} ms",
        ),
        _browser_row("Chromium: camera ready to channel open", times["open"], OPEN_MS),
        _browser_row("Chromium: offer to answer", times["signalling"], SIGNALLING_MS),
    ]


def _browser_row(what: str, times: list[float], target: float) -> Row:
    middle = median(times)
    spread = f"{min(times):.0f} to {max(times):.0f} ms in {len(times)} connections"
    return Row(what, middle, "ms", f"<= {target:g} ms median", middle <= target, note=spread)


if __name__ == "__main__":
    show(measure())
