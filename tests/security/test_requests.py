"""Requests that are odd, false or hostile as HTTP: each is refused, and the server goes on."""

from collections.abc import Iterator

import pytest

from tests.security.raw import connected, request, status, talk, until_closed
from tests.servers import Server

TOKEN = b'{"token": "a"}'
POST = ("POST", "/v1/testing/inline")


@pytest.fixture(autouse=True)
def _goes_on(server: Server) -> Iterator[None]:
    yield
    assert server.process.poll() is None
    assert status(talk(server, request("POST", "/v1/testing/process", body=TOKEN))) == 200


@pytest.mark.parametrize(
    "path",
    [
        "//v1/testing/inline",
        "/v1//testing/inline",
        "/v1/testing/inline/",
        "/v1/testing/inline%00",
        "/v1/testing/inline\x00",
        "/V1/testing/inline",
        "/v1/testing/Inline",
        "/v1/./testing/inline",
        "/v1/x/../testing/inline",
        "/v1/testing.inline",
        "/v1/testing/inline;x",
        "/v1/testing/inlin\u00e9",
        "/v1/__class__/x",
        "/v1/" + "a" * 60_000,
        "/assets/../../../../etc/passwd",
        "/assets/..%2f..%2f..%2fetc%2fpasswd",
        "/api-doc/assets/%2e%2e/%2e%2e/pyproject.toml",
        "/static/..%5c..%5cetc",
    ],
)
def test_only_the_address_itself_is_the_address(server: Server, path: str) -> None:
    answer = talk(server, request("POST", path, body=TOKEN))
    assert status(answer) in (400, 404, 405, 414, 431), answer[:300]
    assert b"root:" not in answer
    assert b'"seconds"' not in answer
    answer = talk(server, request("GET", path))
    assert status(answer) in (400, 404, 405, 414, 431), answer[:300]


def test_a_very_long_query_is_refused(server: Server) -> None:
    for query in ("a" * 200_000, "&".join(f"f{n}=1" for n in range(5_000)), "%ff%fe=1", "text=%00"):
        answer = talk(server, request("POST", f"/v1/testing/inline?{query}", body=TOKEN))
        assert status(answer) in (0, 400, 414, 422, 431), answer[:300]


@pytest.mark.parametrize(
    "headers",
    [
        ("content-length: 14", "transfer-encoding: chunked"),
        ("transfer-encoding: chunked", "content-length: 14"),
        ("content-length: 14", "content-length: 4"),
        ("content-length: 4", "content-length: 14"),
        ("content-length: -1",),
        ("content-length: +14",),
        ("content-length: 0x0e",),
        ("content-length: 14, 14",),
        ("content-length: 99999999999999999999",),
        ("content-length: 1e3",),
        ("content-length: ",),
        ("transfer-encoding: chunked, identity",),
        ("transfer-encoding: xchunked",),
        ("transfer-encoding : chunked",),
        ("transfer-encoding: identity", "content-length: 14"),
        ("x: a\x00b", "content-length: 14"),
        ("a b: c", "content-length: 14"),
        (": empty", "content-length: 14"),
    ],
)
def test_a_body_of_doubtful_length_is_refused(server: Server, headers: tuple[str, ...]) -> None:
    smuggled = TOKEN + request("GET", "/v1/system/activity")
    answer = talk(server, request(*POST, *headers, body=smuggled))
    assert status(answer) in (0, 400, 413, 422), answer
    assert answer.count(b"HTTP/1.1") <= 1
    assert b"uptime" not in answer


@pytest.mark.parametrize(
    "body",
    [
        b"zz\r\n{}\r\n0\r\n\r\n",
        b"-1\r\n{}\r\n0\r\n\r\n",
        b"ffffffffffffffffff\r\n{}\r\n0\r\n\r\n",
        b"2\r\n{}XX\r\n0\r\n\r\n",
    ],
)
def test_chunks_of_doubtful_length_are_refused(server: Server, body: bytes) -> None:
    answer = talk(server, request(*POST, "transfer-encoding: chunked", body=body))
    assert status(answer) in (0, 400, 422, 499)
    assert answer.count(b"HTTP/1.1") <= 1


def test_a_body_that_is_said_to_be_too_large_is_not_read(server: Server) -> None:
    with connected(server) as sock:
        sock.sendall(request("POST", "/v1/logs/cluster", "content-length: 999999999999"))
        answer = until_closed(sock)
    assert status(answer) == 413
    assert b"payload_too_large" in answer


def test_many_and_large_headers_are_refused(server: Server) -> None:
    many = [f"x-{n}: 1" for n in range(50_000)]
    large = ["x: " + "a" * 500_000]
    short_but_many = [f"x-{n}: 1" for n in range(20_000)]
    for headers in (many, large, short_but_many):
        answer = talk(server, request("GET", "/v1/system/activity", *headers))
        assert status(answer) == 400, answer[:300]


def test_headers_without_end_are_cut_off(server: Server) -> None:
    with connected(server) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nx: ")
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            sock.sendall(b"a" * 200_000_000)


def test_usual_headers_are_not(server: Server) -> None:
    headers = [f"x-{n}: {'a' * 500}" for n in range(100)]
    assert status(talk(server, request("GET", "/v1/system/activity", *headers))) == 200


def test_what_is_no_http_is_refused(server: Server) -> None:
    for sent in (
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 200,  # TLS
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET\r\n\r\n",
        b"\x00" * 1000 + b"\r\n\r\n",
        b"GET / HTTP/9.9\r\nhost: localhost\r\n\r\n",
        b"CONNECT evil.example:443 HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n",
    ):
        assert status(talk(server, sent)) in (0, 400, 404, 405, 505), sent[:20]


@pytest.mark.parametrize(
    "method", ["TRACE", "PUT", "DELETE", "PATCH", "OPTIONS", "G\u00cbT", "get"]
)
def test_other_methods_do_nothing(server: Server, method: str) -> None:
    answer = talk(server, request(method, "/v1/testing/inline", body=TOKEN))
    assert status(answer) in (0, 400, 405), answer
    assert b'"seconds"' not in answer


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("x-deadline-s", "-1"),
        ("x-deadline-s", "nan"),
        ("x-deadline-s", "inf"),
        ("x-deadline-s", "1e999"),
        ("x-deadline-s", "\u0665"),
        ("x-priority", "root"),
    ],
)
def test_headers_that_make_no_sense_are_refused(server: Server, header: str, value: str) -> None:
    sent = request(*POST, "x-a: b", body=TOKEN).replace(
        b"x-a: b", header.encode() + b": " + value.encode()
    )
    answer = talk(server, sent)
    assert status(answer) == 422, answer
    assert b"invalid_input" in answer


def test_a_request_id_cannot_forge_a_header_or_a_log_line(server: Server) -> None:
    for value in ("a\tb", "a b", "\xff\xfe", "a" * 200, '{"level": "error"}'):
        answer = talk(server, request("GET", "/v1/testing/nothing", f"x-request-id: {value}"))
        assert value.encode("latin-1") not in answer


def test_deep_json_is_refused_everywhere(server: Server) -> None:
    for depth in (100, 100_000, 900_000):
        body = b'{"data":' + b"[" * depth + b"]" * depth + b"}"
        answer = talk(server, request("POST", "/v1/system/echo", body=body[: 1 << 20]))
        assert status(answer) in ((200,) if depth == 100 else (400, 413, 422)), (depth, answer)
    body = b'{"series":' + b"[" * 5_000_000
    answer = talk(server, request("POST", "/v1/metrics/forecast", body=body))
    assert status(answer) in (400, 422)
    assert b"invalid_input" in answer
