"""Clients that are slow, silent or gone: each costs little, and not for long."""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import httpx
import pytest

from tests.security.raw import connected, request, status, until_closed
from tests.servers import Server, serving

LIMIT_S = 1.0
WITHIN_S = 20.0
PATIENT_S = 60.0


@pytest.fixture(scope="module")
def strict() -> Iterator[Server]:
    """A server that waits a second for a client, and no longer."""
    flags = ("--request-timeout-s", str(LIMIT_S), "--workers", "2", "--threads", "2")
    with serving(*flags) as running, running.client() as http:
        _until(lambda: http.get("/readyz").json()["workers"]["alive"] == 2)
        yield running


@pytest.fixture
def patient() -> Iterator[Server]:
    """One that waits so long that nobody behind a slow client could be answered soon."""
    flags = ("--request-timeout-s", str(PATIENT_S), "--workers", "2", "--threads", "2")
    with serving(*flags) as running:
        yield running


@pytest.fixture
def http(strict: Server) -> Iterator[httpx.Client]:
    with strict.client() as client:
        yield client


def test_a_connection_that_says_nothing_is_closed(strict: Server) -> None:
    with connected(strict, WITHIN_S) as sock:
        assert until_closed(sock) == b""


def test_a_head_that_trickles_in_is_closed(strict: Server) -> None:
    with connected(strict, WITHIN_S) as sock:
        began = time.monotonic()
        sock.sendall(b"GET / HTTP/1.1\r\nhost: localhost\r\n")
        assert _trickle(sock, b"x: y\r\n") < WITHIN_S
        assert time.monotonic() - began > LIMIT_S / 2


def test_so_is_the_second_one_on_a_connection(strict: Server) -> None:
    with connected(strict, WITHIN_S) as sock:
        sock.sendall(b"GET /v1/health HTTP/1.1\r\nhost: localhost\r\n\r\n")
        assert status(sock.recv(65536)) == 200
        sock.sendall(b"GET /v1/hea")
        assert b"HTTP" not in until_closed(sock)


def test_many_of_them_keep_nobody_out(patient: Server) -> None:
    with ExitStack() as silent, patient.client() as http:
        for _ in range(200):
            sock = silent.enter_context(connected(patient))
            sock.sendall(b"POST /v1/testing/process HTTP/1.1\r\nhost: localhost\r\nx: ")
        began = time.monotonic()
        assert http.post("/v1/testing/process", json={"token": "a"}).status_code == 200
        assert time.monotonic() - began < PATIENT_S / 2


@pytest.mark.parametrize(
    ("path", "size"),
    [
        ("/v1/testing/inline", 14),
        ("/v1/testing/inline", 1_000_000),
        ("/v1/testing/process", 14),
        ("/v1/testing/process", 10_000_000),
        ("/v1/logs/cluster", 10_000_000),
        ("/mcp", 100),
    ],
)
def test_a_body_that_stops_is_a_typed_error(strict: Server, path: str, size: int) -> None:
    with connected(strict, WITHIN_S) as sock:
        head = request("POST", path, f"content-length: {size}")
        sock.sendall(head + b'{"tok')
        answer = until_closed(sock)
    assert status(answer) == 504
    assert b"deadline_exceeded" in answer


def test_a_slow_body_holds_no_worker(patient: Server) -> None:
    with ExitStack() as slow, patient.client() as http:
        for _ in range(8):  # more than there are workers
            sock = slow.enter_context(connected(patient))
            sock.sendall(request("POST", "/v1/testing/process", "content-length: 10000000") + b"{")
        began = time.monotonic()
        assert http.post("/v1/testing/process", json={"token": "a"}).status_code == 200
        assert time.monotonic() - began < PATIENT_S / 2


@pytest.mark.parametrize("path", ["/v1/testing/lines", "/v1/testing/inline"])
def test_a_body_in_tiny_chunks_is_one_body(strict: Server, path: str) -> None:
    body = b'{"token": "abc"}' if path.endswith("inline") else b'{"lines": ["a", "b", "abc"]}'
    chunks = [body[start : start + 6] for start in range(0, len(body), 6)]
    with connected(strict, WITHIN_S) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.sendall(request("POST", path, "transfer-encoding: chunked"))
        for chunk in chunks:
            sock.sendall(b"%x\r\n%s\r\n" % (len(chunk), chunk))
        sock.sendall(b"0\r\n\r\n")
        answer = until_closed(sock)
    assert status(answer) == 200, answer
    assert b"abc" in answer or b'"lines":3' in answer


def test_a_hundred_thousand_tiny_chunks_cost_a_bounded_time(strict: Server) -> None:
    body = b'{"lines": ["' + b"a" * 600_000 + b'"]}'
    sent = b"".join(
        b"%x\r\n%s\r\n" % (len(body[n : n + 6]), body[n : n + 6]) for n in range(0, len(body), 6)
    )
    with connected(strict, 60) as sock:
        sock.sendall(request("POST", "/v1/testing/lines", "transfer-encoding: chunked") + sent)
        sock.sendall(b"0\r\n\r\n")
        answer = until_closed(sock)
    assert status(answer) == 200, answer[:300]
    assert b'"characters":600000' in answer


@pytest.mark.parametrize("verb", ["count", "count_async"])
def test_a_client_that_never_reads_a_stream_is_let_go(
    strict: Server, http: httpx.Client, verb: str
) -> None:
    body = b'{"count": 10000000}'
    before = _ended(http, verb)
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect((http.base_url.host, http.base_url.port or 0))
        sock.sendall(request("POST", f"/v1/testing/{verb}", body=body))
        _until(lambda: _in_flight(http, f"testing.{verb}") == 1 or _ended(http, verb) > before)
        _until(lambda: _in_flight(http, f"testing.{verb}") == 0)


@pytest.mark.parametrize("verb", ["awaiting", "thread", "process", "stuck", "count"])
def test_a_client_that_leaves_frees_its_slot(strict: Server, http: httpx.Client, verb: str) -> None:
    many = 6  # more than there are slots
    body = b'{"count": 1000000, "seconds": 0.05}' if verb == "count" else None
    left = []
    for _ in range(many):
        sock = socket.create_connection((http.base_url.host, http.base_url.port or 0))
        sock.sendall(
            request("POST", f"/v1/testing/{verb}", body=body or b'{"token": "a", "seconds": 60}')
        )
        left.append(sock)
    _until(lambda: _in_flight(http, f"testing.{verb}") == many)
    for sock in left:
        sock.close()
    _until(lambda: _in_flight(http, f"testing.{verb}") == 0)
    _until(lambda: _slots(http) == 0)
    for each in ("thread", "process"):
        assert http.post(f"/v1/testing/{each}", json={"token": "a"}).status_code == 200


def _trickle(sock: socket.socket, piece: bytes) -> float:
    """Send a piece every tenth of a second; returns the seconds until it is closed."""
    began = time.monotonic()
    sock.settimeout(0.1)
    while time.monotonic() - began < 2 * WITHIN_S:
        try:
            sock.sendall(piece)
            if not sock.recv(65536):
                break
        except TimeoutError:
            continue
        except OSError:
            break
    return time.monotonic() - began


def _in_flight(http: httpx.Client, operation: str) -> int:
    known = http.get("/v1/system/activity").json()["operations"]
    return sum(each["in_flight"] for each in known if each["operation"] == operation)


def _ended(http: httpx.Client, verb: str) -> int:
    known = http.get("/v1/system/activity").json()["operations"]
    return sum(each["calls"] for each in known if each["operation"] == f"testing.{verb}")


def _slots(http: httpx.Client) -> float:
    lines = http.get("/metrics").text.splitlines()
    slots = (line for line in lines if line.startswith("sensorium_slots_in_use{"))
    return sum(float(line.rpartition(" ")[2]) for line in slots)


def _until(condition: Callable[[], bool], within_s: float = 60.0) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline
