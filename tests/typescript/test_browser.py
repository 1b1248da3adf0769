"""The TypeScript client in a real Chromium."""

from collections.abc import Iterator

import pytest

from tests.conftest import missing
from tests.e2e.browser import Tab, browsing, executable, tab
from tests.servers import Server
from tests.typescript.conftest import KEY

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]
BY_ADDRESS = "--disable-features=WebRtcHideLocalIpsWithMdns"
"""Names that hide addresses are looked up by multicast, which a container may not have."""
FAR_END = """
    // The server's part in WebRTC: another peer of this page, which answers with what it was sent.
    const far = new RTCPeerConnection();
    const asked = [];
    far.ondatachannel = ({ channel }) => {
        let text = "";
        channel.onmessage = ({ data }) => {
            const { part = data, more = false } = JSON.parse(data);
            text += part;
            if (more) return;
            const { id, data: { text: sent } } = JSON.parse(text);
            text = "";
            const answer = { label: channel.label, length: sent.length };
            channel.send(JSON.stringify({ id, data: answer }));
        };
    };
    const client = { async call(name, request) {
        asked.push(name);
        if (name === "webrtc.candidate") {
            const { candidate, sdp_mid: sdpMid, sdp_m_line_index: sdpMLineIndex } = request;
            await far.addIceCandidate({ candidate, sdpMid, sdpMLineIndex });
        }
        if (name !== "webrtc.offer") return {};
        await far.setRemoteDescription({ type: "offer", sdp: request.sdp });
        await far.setLocalDescription();
        while (far.iceGatheringState !== "complete") {
            await new Promise((go) => far.addEventListener("icegatheringstatechange", go));
        }
        return { session: "s1", sdp: far.localDescription.sdp };
    } };
"""


@pytest.fixture(scope="module")
def page(own: Server) -> Iterator[Tab]:
    if executable() is None:
        missing("Chromium")
    with browsing(BY_ADDRESS) as address, tab(address) as opened:
        opened.open(f"{own.url}/static/index.js")
        yield opened


def evaluate(page: Tab, code: str) -> object:
    """What a function's body returns, with the client's module and the server at hand."""
    names = f"const url = location.origin, key = {KEY!r};"
    begun = "import('/static/index.js').then(async (sensorium) => {"
    return page.run(f"{begun} {names} {code} }})")


def test_fetch_answers_streams_and_stops(page: Tab) -> None:
    code = """
        const client = new sensorium.Sensorium({ url, key });
        const { clusters } = await client.logs.cluster({ lines: ["a 1", "a 2"] });
        const seen = [];
        for await (const { index } of client.testing.count({ count: 10_000, seconds: 0.01 })) {
            if (seen.push(index) === 3) break;
        }
        const stop = new AbortController();
        const call = client.testing.process({ token: "a", seconds: 60 }, { signal: stop.signal });
        stop.abort();
        const aborted = await call.catch(({ name }) => name);
        const wrong = await client.logs.cluster({ lines: 1 }).catch(({ name }) => name);
        return [clusters[0].count, seen, aborted, wrong];
    """
    assert evaluate(page, code) == [2, [0, 1, 2], "AbortError", "InvalidInputError"]


def test_a_websocket_carries_its_key_and_both_ways(page: Tab) -> None:
    code = """
        const channel = await sensorium.openWebSocket(url, { key });
        const connection = new sensorium.Connection(channel);
        async function* items() { yield { token: "a" }; yield { token: "b" }; }
        const seen = [];
        for await (const { token } of connection.stream("testing.mirror", {}, { items: items() })) {
            seen.push(token);
        }
        connection.close();
        const refused = await sensorium.openWebSocket(url, { key: "wrong" })
            .catch(({ name }) => name);
        return [seen, refused];
    """
    assert evaluate(page, code) == [["a", "b"], "ServerAwayError"]


def test_a_peer_connects_and_long_messages_arrive(page: Tab) -> None:
    code = """
        const options = { timeoutMs: 20_000 };
        const { connection, session, close } = await sensorium.openPeer(client, options);
        const short = await connection.call("system.echo", { text: "a" });
        const long = await connection.call("system.echo", { text: "ä👋".repeat(500_000) });
        await close();
        return [session, short, long.length, asked[0], asked.at(-1)];
    """
    assert evaluate(page, FAR_END + code) == [
        *("s1", {"label": "sensorium", "length": 1}, 1_500_000),
        *("webrtc.offer", "webrtc.close"),
    ]
