"""WebRTC from a real browser, with its fake camera and microphone."""

from collections.abc import Iterator

import pytest

from tests.e2e.browser import Tab, tab
from tests.servers import Server, serving

pytestmark = pytest.mark.browser

CLIENT = """
window.connect = async (stream) => {
  const peer = new RTCPeerConnection({ iceServers: [] });
  const channel = peer.createDataChannel("sensorium");
  const seen = [];
  peer.ontrack = (event) => seen.push(event.track);
  if (stream) for (const track of stream.getTracks()) peer.addTrack(track, stream);
  await peer.setLocalDescription();
  const answer = await fetch("/v1/webrtc/offer", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ sdp: peer.localDescription.sdp }),
  });
  if (!answer.ok) throw new Error(await answer.text());
  const { session, sdp } = await answer.json();
  const opened = new Promise((resolve) => (channel.onopen = resolve));
  await peer.setRemoteDescription({ type: "answer", sdp });
  await opened;
  return { peer, channel, session, seen };
};
window.call = (channel, message, enough) => new Promise((resolve) => {
  const heard = [];
  channel.onmessage = (event) => {
    const { id, ...rest } = JSON.parse(event.data);
    heard.push(rest);
    if (!("chunk" in rest)) resolve(heard);
    else if (heard.length === enough) channel.send(JSON.stringify({ id, end: {} }));
  };
  channel.send(JSON.stringify(message));
});
"""
CAMERA = "await navigator.mediaDevices.getUserMedia({ video: true, audio: true })"
MEASURE = {"id": 7, "op": "system.measure", "tracks": True, "data": {"every": 25}}
MEASURED = f"""(async () => {{
  const made = await connect({CAMERA});
  const heard = await call(made.channel, {MEASURE!r}, 4);
  made.peer.close();
  return heard;
}})()""".replace("True", "true")
SHOWN = f"""(async () => {{
  const made = await connect({CAMERA});
  const heard = [];
  made.channel.onmessage = (event) => heard.push(JSON.parse(event.data));
  made.channel.send(JSON.stringify(
    {{ id: 8, op: "system.measure", tracks: true, data: {{ every: 1, images: true }} }}));
  const video = document.createElement("video");
  video.muted = true;
  document.body.append(video);
  video.srcObject = new MediaStream(made.seen.filter((each) => each.kind === "video"));
  await video.play();
  await new Promise((resolve) => video.requestVideoFrameCallback(resolve));
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
  const drawing = canvas.getContext("2d");
  drawing.drawImage(video, 0, 0);
  const pixels = drawing.getImageData(0, 0, canvas.width, canvas.height).data;
  const colours = new Set();
  for (let at = 0; at < pixels.length; at += 4000) colours.add(pixels.slice(at, at + 3).join());
  const stats = [...(await made.peer.getStats()).values()];
  const incoming = stats.find((each) => each.type === "inbound-rtp" && each.kind === "video");
  made.peer.close();
  return {{ width: video.videoWidth, height: video.videoHeight, colours: colours.size,
            decoded: incoming.framesDecoded, images: heard.filter((e) => e.chunk.image).length }};
}})()"""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving("--mode", "http,webrtc") as opened:
        opened.wait_until_ready()
        yield opened


@pytest.fixture
def page(browser: str, server: Server) -> Iterator[Tab]:
    with tab(browser) as opened:
        opened.open(f"{server.url}/")
        opened.run(CLIENT)
        yield opened
        assert opened.complaints == []


def test_every_kind_of_call_goes_over_a_data_channel(page: Tab) -> None:
    heard = page.run("""(async () => {
      const { peer, channel } = await connect();
      const text = "é".repeat(20000);
      const one = await call(channel, { id: 1, op: "system.echo", data: { text } });
      const many = await call(channel, { id: 2, op: "testing.count", data: { count: 3 } });
      const bad = await call(channel, { id: 3, op: "system.echo", data: { text: 5 } });
      peer.close();
      const kinds = many.map((each) => Object.keys(each)[0]);
      return [one[0].data.text === text, kinds, bad[0].error.code];
    })()""")
    assert heard == [True, ["chunk", "chunk", "chunk", "end"], "invalid_input"]


def test_camera_and_microphone_feed_a_call(page: Tab) -> None:
    *measured, last = page.run(MEASURED)
    final = measured[-1]["chunk"]
    assert (final["width"], final["height"]) == (640, 480)
    assert final["images"] > 1
    assert final["audio_s"] > 0.2
    heard = [each["chunk"]["loudness_dbfs"] for each in measured]
    assert max(each for each in heard if each is not None) > -60  # it beeps each second
    assert last == {"end": {}}


def test_pictures_come_back_as_video(page: Tab) -> None:
    shown = page.run(SHOWN)
    assert (shown["width"], shown["height"]) == (640, 480)
    assert shown["decoded"] > 0
    assert shown["colours"] > 3  # the camera's test picture, and not a black one
    assert shown["images"] == 0  # they went out as video, not over the channel


def test_two_browsers_meet_in_a_room(browser: str, page: Tab, server: Server) -> None:
    meet = """(async (first) => {
      const socket = new WebSocket(location.origin.replace("http", "ws") + "/v1/ws");
      await new Promise((resolve) => (socket.onopen = resolve));
      const peer = new RTCPeerConnection({ iceServers: [] });
      const say = (data) => socket.send(JSON.stringify({ id: 1, chunk: { data } }));
      peer.onicecandidate = ({ candidate }) => candidate && say({ candidate });
      const opened = new Promise((resolve) => {
        peer.ondatachannel = ({ channel }) => (channel.onmessage = (e) => resolve(e.data));
      });
      socket.onmessage = async (event) => {
        const { chunk } = JSON.parse(event.data);
        if (chunk?.kind === "joined" && first) {
          const channel = peer.createDataChannel("direct");
          channel.onopen = () => channel.send("hello, neighbour");
          await peer.setLocalDescription();
          say({ description: peer.localDescription });
        } else if (chunk?.data?.description) {
          await peer.setRemoteDescription(chunk.data.description);
          if (!first) {
            await peer.setLocalDescription();
            say({ description: peer.localDescription });
          }
        } else if (chunk?.data?.candidate) {
          await peer.addIceCandidate(chunk.data.candidate);
        }
      };
      socket.send(JSON.stringify({ id: 1, op: "webrtc.join", data: { room: "e2e" } }));
      return first ? "waiting" : await opened;
    })"""
    with tab(browser) as other:
        other.open(f"{server.url}/")
        assert page.run(f"{meet}(true)") == "waiting"
        assert other.run(f"{meet}(false)") == "hello, neighbour"
