"""How responses go out: a head with what follows it, and alone where nothing does."""

import json
import socket
import time
from select import select

from tests.security.raw import connected, request, status, talk, until_closed
from tests.servers import Server

ECHO = "/v1/testing/inline"


def test_an_answer_comes_in_one_piece(server: Server) -> None:
    body = b'{"token": "t"}'
    with connected(server) as sock:
        for _ in range(20):
            sock.sendall(
                b"POST %s HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: %d\r\n\r\n%s"
                % (ECHO.encode(), len(body), body)
            )
            answer = sock.recv(65536)
            assert status(answer) == 200
            assert json.loads(answer.partition(b"\r\n\r\n")[2])["token"] == "t"


def test_the_head_of_a_stream_does_not_wait_for_its_first_item(server: Server) -> None:
    body = b'{"count": 1, "seconds": 60}'
    with connected(server) as sock:
        sock.sendall(request("POST", "/v1/testing/count_async", body=body))
        began = time.monotonic()
        head = sock.recv(65536)
        assert time.monotonic() - began < 15
    assert status(head) == 200
    assert head.endswith(b"\r\n\r\n")


def test_whoever_waits_to_be_asked_for_the_body_is_asked(server: Server) -> None:
    body = b'{"token": "t"}'
    asking = request("POST", ECHO, "expect: 100-continue", f"content-length: {len(body)}")
    with connected(server) as sock:
        sock.sendall(asking)
        assert sock.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(body)
        answer = until_closed(sock)
    assert status(answer) == 200
    assert b'"token":"t"' in answer


def test_a_small_body_in_two_pieces_is_read_whole(server: Server) -> None:
    sent = request("POST", ECHO, body=b'{"token": "t"}')
    with connected(server) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in (-14, -5):
            sock.sendall(sent[:at])
            sent = sent[at:]
            assert not select([sock], [], [], 0.1)[0]  # it is still waited for
        sock.sendall(sent)
        answer = until_closed(sock)
    assert status(answer) == 200
    assert b'"token":"t"' in answer


def test_requests_in_one_piece_are_answered_in_turn(server: Server) -> None:
    bodies = [json.dumps({"token": str(number)}).encode() for number in range(3)]
    sent = b"".join(request("POST", ECHO, body=each) for each in bodies)
    answers = talk(server, sent.replace(b"connection: close\r\n", b"", 2)).split(b"HTTP/1.1 ")[1:]
    assert [json.loads(each.partition(b"\r\n\r\n")[2])["token"] for each in answers] == list("012")


def test_a_head_without_a_body_is_sent(server: Server) -> None:
    answer = talk(server, request("HEAD", "/v1/health"))
    assert status(answer) == 200
    assert answer.endswith(b"\r\n\r\n")
