"""What no gRPC library sends: the door answers, and goes on serving."""

import queue
import socket
import threading
import time
from collections.abc import Iterator, Sequence

import grpc
import pytest

from tests.faults.observing import until
from tests.grpc.raw import OPENING, call
from tests.grpc.running import door, port_of, serving_grpc
from tests.servers import Server, serving

HEALTH = "/sensorium.v1.SystemService/Health"
ITEM = b"\x12\x03\x0a\x01a"
"""A message of a listening call: the item `{token: "a"}`."""
KEY = "key-of-the-hostile-tests"


def send_call(port: int, path: bytes, more: Sequence[tuple[bytes, bytes]] = ()) -> bytes:
    """Make a call by hand; returns what comes until it has ended."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as raw:
        raw.sendall(OPENING + call(path, b"", more))
        heard = b""
        while b"grpc-status" not in heard and (piece := raw.recv(65536)):
            heard += piece
        return heard


def healthy(port: int) -> bool:
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        try:
            return bool(channel.unary_unary(HEALTH)(b"", timeout=20, wait_for_ready=True))
        except grpc.RpcError:
            return False


@pytest.fixture(scope="module")
def own() -> Iterator[Server]:
    with serving_grpc() as (server, _):
        yield server


def test_a_method_that_is_not_text_does_not_end_the_door(own: Server) -> None:
    port = port_of(own)
    send_call(port, b"/sensorium.v1.SystemService/\xff\xfe")
    until(lambda: healthy(port), 10, "gRPC serves again")
    assert port_of(own) == port


def test_neither_does_it_while_a_call_is_open_which_goes_on(own: Server) -> None:
    port = port_of(own)
    said: queue.Queue[bytes | None] = queue.Queue()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        mirror = channel.stream_stream("/sensorium.v1.TestingService/MirrorAsync")
        heard = mirror(iter(said.get, None), timeout=100)
        said.put(ITEM)
        next(heard)
        send_call(port, b"/sensorium.v1.SystemService/\xff\xfe")
        until(lambda: healthy(port), 10, "gRPC serves again")
        said.put(ITEM)
        next(heard)
        said.put(None)
        assert not list(heard)


def test_a_server_that_was_replaced_stops_in_time_with_the_others() -> None:
    with serving_grpc("--workers", "1", "--drain-s", "1") as (server, channel):
        port = port_of(server)
        over = threading.Event()
        mirror = channel.stream_stream("/sensorium.v1.TestingService/MirrorAsync")
        heard = mirror(_open(over, ITEM), timeout=100)
        next(heard)
        send_call(port, b"/sensorium.v1.SystemService/\xff\xfe")
        until(lambda: healthy(port), 10, "gRPC serves again")
        began = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - began < 15
        with pytest.raises(grpc.RpcError):
            list(heard)
        over.set()


@pytest.mark.parametrize("value", [b"\xff\xfe", b"a\x01b", b"\xc3\xa9", b"x" * 120 + b" "])
def test_an_odd_request_id_is_replaced(own: Server, value: bytes) -> None:
    heard = send_call(port_of(own), HEALTH.encode(), [(b"x-request-id", value)])
    assert b"live" in heard or b"0.1" in heard
    assert healthy(port_of(own))


@pytest.mark.parametrize("path", ["___SystemService/Health", "SystemService/health", "System/X"])
def test_a_method_has_one_spelling(own: Server, path: str) -> None:
    with grpc.insecure_channel(f"127.0.0.1:{port_of(own)}") as channel:
        with pytest.raises(grpc.RpcError) as refused:
            channel.unary_unary(f"/sensorium.v1.{path}")(b"")
        assert refused.value.code() is grpc.StatusCode.NOT_FOUND


def test_what_is_decoded_on_the_event_loop_is_small(own: Server) -> None:
    unlimited = [("grpc.max_send_message_length", -1)]
    with grpc.insecure_channel(f"127.0.0.1:{port_of(own)}", unlimited) as channel:
        with pytest.raises(grpc.RpcError) as refused:
            channel.unary_unary(HEALTH)(b"\xf8\x01\x01" * 1_000_000)
        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_a_listening_call_without_a_key_is_refused_before_it_says_anything() -> None:
    with serving_grpc(SENSORIUM_API_KEYS=KEY) as (_, channel):
        silent = channel.stream_stream("/sensorium.v1.LogsService/Watch")
        over = threading.Event()
        with pytest.raises(grpc.RpcError) as refused:
            next(silent(_open(over), timeout=60))
        over.set()
        assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED


def test_a_wish_for_client_certificates_without_tls_is_not_passed_over() -> None:
    flags = ("--mode", "http,grpc", "--grpc-port", "0", "--grpc-client-ca", "/nowhere.pem")
    with serving(*flags) as server:
        until(lambda: "tls_certificate" in door(server), 20, "it says what is missing")


def test_a_stopping_server_takes_no_new_calls_and_stops_in_time() -> None:
    with serving_grpc("--drain-s", "3") as (server, channel):
        watch = channel.stream_stream("/sensorium.v1.LogsService/Watch")
        over = threading.Event()
        events = watch(_open(over, b"\x0a\x00"))
        with server.client() as http:
            assert http.get("/v1/health").status_code == 200
        began = time.monotonic()
        server.process.terminate()
        assert server.process.wait(60) == 0
        assert time.monotonic() - began < 18
        with pytest.raises(grpc.RpcError):
            list(events)
        over.set()


def _open(over: threading.Event, *messages: bytes) -> Iterator[bytes]:
    """Messages, and then nothing until it is over."""
    yield from messages
    over.wait()
