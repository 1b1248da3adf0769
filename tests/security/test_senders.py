"""Who may send a request: names of the host, pages of other origins, keys of a public server."""

from collections.abc import Iterator

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.faults.peers import UPGRADE, Mcp
from tests.security.raw import connected, request, status, talk
from tests.servers import Server, serving

PAGE = "https://page.example"


@pytest.fixture(scope="module")
def shared() -> Iterator[Server]:
    """A server whose API pages of one origin may call."""
    with serving("--cors-origins", PAGE) as running:
        yield running


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8484",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "localhost@evil.example",
        "evil.example#localhost",
        "evil.example/localhost",
        "localhost:80@evil.example",
        "127.0.0.1, evil.example",
        "[::2]",
        "[::1",
        "0.0.0.0",
        "2130706433",
        "127.1",
        "",
        " ",
        ":8484",
        "localhost\\evil.example",
    ],
)
def test_another_host_name_is_refused(server: Server, host: str) -> None:
    answer = talk(server, request("GET", "/v1/system/activity", f"host: {host}"))
    assert status(answer) == 403 or (status(answer) == 400 and b"Invalid" in answer), answer
    assert b"uptime" not in answer


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.0.0.1:1", "localhost", "LOCALHOST:9", "[::1]", "[::1]:80"]
)
def test_our_own_names_are_answered(server: Server, host: str) -> None:
    assert status(talk(server, request("GET", "/v1/system/activity", f"host: {host}"))) == 200


def test_a_request_without_a_host_is_refused(server: Server) -> None:
    for sent in (
        b"GET /v1/system/activity HTTP/1.1\r\nconnection: close\r\n\r\n",
        b"GET /v1/system/activity HTTP/1.0\r\n\r\n",
    ):
        assert status(talk(server, sent)) == 403


def test_two_hosts_do_not_get_around_it(server: Server) -> None:
    for pair in (("evil.example", "127.0.0.1"), ("127.0.0.1", "evil.example")):
        headers = [f"host: {each}" for each in pair]
        answer = talk(server, request("GET", "/v1/system/activity", *headers))
        assert status(answer) in (400, 403), pair


def test_a_probe_may_use_any_name(server: Server) -> None:
    assert status(talk(server, request("GET", "/healthz", "host: evil.example"))) == 200


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "null",
        "http://127.0.0.1:1",
        "https://127.0.0.1",
        "http://localhost.evil.example",
        "file://",
        "",
    ],
)
def test_a_page_of_another_origin_may_not_call(server: Server, origin: str) -> None:
    body = b'{"token": "a"}'
    headers = [f"origin: {origin}", "content-type: text/plain"]
    answer = talk(server, request("POST", "/v1/testing/inline", *headers, body=body))
    assert status(answer) == 403
    assert b'"token"' not in answer
    assert b"access-control-allow-origin" not in answer.lower()


def test_our_own_page_may_call(server: Server) -> None:
    with server.client() as http:
        answer = http.post(
            "/v1/testing/inline", json={"token": "a"}, headers={"origin": server.url}
        )
    assert answer.status_code == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "https://127.0.0.1"])
def test_a_web_socket_of_another_origin_is_refused(server: Server, origin: str) -> None:
    with pytest.raises(InvalidStatus) as refused, connect(server.ws_url, origin=origin):
        pass
    assert refused.value.response.status_code == 403


REBOUND = ["evil.example", "127.0.0.1.evil.example:8484", "[::2]", ""]
"""Names under which a page can have its browser send to us."""


@pytest.mark.parametrize("host", REBOUND)
def test_a_web_socket_under_another_name_is_refused(server: Server, host: str) -> None:
    """Also where the page's origin is that very name, as it is after DNS rebinding."""
    asked = UPGRADE.replace(b"host: 127.0.0.1\r\n", f"host: {host}\r\n".encode())
    for origin in (b"", f"origin: http://{host}\r\n".encode()):
        assert status(talk(server, asked.replace(b"\r\n\r\n", b"\r\n" + origin + b"\r\n"))) == 403
    with connected(server) as line:
        line.sendall(UPGRADE)
        assert status(line.recv(1024)) == 101


@pytest.mark.parametrize("host", REBOUND)
def test_neither_is_a_tool_called_under_another_name(server: Server, host: str) -> None:
    peer = Mcp(server)
    asked = peer.begin("inline", {"token": "a"})
    for origin in (b"", f"origin: http://{host}\r\n".encode()):
        sent = asked.replace(b"host: 127.0.0.1\r\n", f"host: {host}\r\n".encode() + origin)
        answer = talk(server, sent)
        assert status(answer) == 403
        assert b"jsonrpc" not in answer
    assert b"jsonrpc" in talk(server, asked)


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "https://127.0.0.1", "file://"])
@pytest.mark.parametrize("media_type", ["application/json", "text/plain"])
def test_a_page_of_another_origin_calls_no_tool(
    server: Server, origin: str, media_type: str
) -> None:
    """Whatever it says that it sends: as text it needs no leave from its browser."""
    head, _, body = Mcp(server).begin("inline", {"token": "a"}).partition(b"\r\n\r\n")
    head = head.replace(b"application/json\r\nconn", f"{media_type}\r\nconn".encode())
    answer = talk(server, head + f"\r\norigin: {origin}\r\n\r\n".encode() + body)
    assert status(answer) == 403
    assert b"jsonrpc" not in answer


def test_a_web_socket_of_our_own_page_is_welcome(server: Server) -> None:
    with connect(server.ws_url, origin=server.url) as socket:
        socket.send('{"id": 1, "op": "testing.inline", "data": {"token": "a"}}')
        assert '"token":"a"' in str(socket.recv(10))


def test_a_page_that_is_named_may_call_and_no_other(shared: Server) -> None:
    preflight = {"access-control-request-method": "POST"}
    with shared.client() as http:
        asked = http.options("/v1/testing/inline", headers={"origin": PAGE, **preflight})
        assert (asked.status_code, asked.headers["access-control-allow-origin"]) == (200, PAGE)
        assert "POST" in asked.headers["access-control-allow-methods"]
        deletes = {"origin": PAGE, "access-control-request-method": "DELETE"}
        for path in ("/v1/responses/resp_1", "/api/delete"):
            assert http.options(path, headers=deletes).status_code == 200
        called = http.post("/v1/testing/inline", json={"token": "a"}, headers={"origin": PAGE})
        assert (called.status_code, called.headers["access-control-allow-origin"]) == (200, PAGE)
        other = {"origin": "https://other.example"}
        refused = http.options("/v1/testing/inline", headers={**other, **preflight})
        assert refused.status_code == 400
        assert "access-control-allow-origin" not in refused.headers
        assert http.post("/v1/testing/inline", json={"token": "a"}, headers=other).is_error


def test_a_public_address_without_a_key_answers_no_call() -> None:
    with serving("--host", "0.0.0.0") as server, server.client() as http:
        assert http.get("/healthz").status_code == 200
        for path in ("/v1/testing/inline", "/api/clustering", "/v1/logs/cluster"):
            answer = http.post(path, json={"token": "a"})
            assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
        assert http.get("/metrics").status_code == 401
        with connect(server.ws_url) as socket:
            socket.send('{"id": 1, "op": "testing.inline", "data": {"token": "a"}}')
            assert '"unauthenticated"' in str(socket.recv(10))
        assert server.logged("sensorium keys create")


def test_a_public_address_may_be_opened_on_purpose() -> None:
    environ = {"SENSORIUM_ALLOW_UNAUTHENTICATED": "true"}
    with serving("--host", "0.0.0.0", environ=environ) as server, server.client() as http:
        assert http.post("/v1/testing/inline", json={"token": "a"}).status_code == 200
