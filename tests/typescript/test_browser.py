"""The TypeScript client in a real Chromium."""

from collections.abc import Iterator

import pytest

from tests.conftest import missing
from tests.e2e.browser import Tab, browsing, executable, tab
from tests.servers import Server
from tests.typescript.conftest import KEY

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def page(own: Server) -> Iterator[Tab]:
    if executable() is None:
        missing("Chromium")
    with browsing() as address, tab(address) as opened:
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


def test_a_peer_connects_with_its_camera_and_long_messages_arrive(page: Tab) -> None:
    code = """
        const client = new sensorium.Sensorium({ url, key });
        const stream = await navigator.mediaDevices.getUserMedia({ video: true });
        const options = { tracks: stream.getTracks(), timeoutMs: 20_000 };
        const { connection, session, close } = await sensorium.openPeer(client, options);
        const text = "ä👋".repeat(100_000);
        const long = await connection.call("system.echo", { text });
        const seen = [];
        const measured = connection.stream("system.measure", { every: 2 }, { tracks: true });
        for await (const { images, width } of measured) if (seen.push([images, width]) === 2) break;
        const { sessions } = await client.webrtc.sessions();
        await close();
        const left = await client.webrtc.sessions();
        const known = sessions.map((each) => [each.session === session, each.tracks]);
        return [long.text === text, seen, known, left.sessions];
    """
    assert evaluate(page, code) == [
        *(True, [[2, 640], [4, 640]]),
        *([[True, ["video"]]], []),
    ]
