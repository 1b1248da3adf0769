"""The envelope over a real WebSocket."""

import json
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode
from websockets.sync.client import ClientConnection, connect

from tests.servers import Server, serving


@pytest.fixture
def socket(server: Server):  # type: ignore[no-untyped-def]
    with connect(server.ws_url, max_size=None) as connection:
        yield connection


def say(socket: ClientConnection, **message: Any) -> None:
    socket.send(json.dumps(message))


def hear(socket: ClientConnection) -> dict[str, Any]:
    heard: dict[str, Any] = json.loads(socket.recv(60))
    return heard


def test_many_calls_are_in_flight_and_each_gets_its_own_answer(socket: ClientConnection) -> None:
    for number in range(100):
        say(socket, id=number, op="testing.process", data={"token": f"t{number}"})
    answers = {m["id"]: m["data"]["token"] for m in (hear(socket) for _ in range(100))}
    assert answers == {number: f"t{number}" for number in range(100)}


def test_a_slow_call_does_not_hold_up_a_quick_one(socket: ClientConnection) -> None:
    say(socket, id="slow", op="testing.awaiting", data={"token": "s", "seconds": 3})
    say(socket, id="quick", op="testing.inline", data={"token": "q"})
    assert [hear(socket)["id"], hear(socket)["id"]] == ["quick", "slow"]


@pytest.mark.parametrize(
    ("message", "code", "known"),
    [
        ("nonsense", "invalid_input", None),
        ('{"op": "system.echo"}', "invalid_input", None),
        ('{"id": 5, "op": 7}', "invalid_input", 5),
        ('{"id": 5, "more": 7}', "invalid_input", 5),
        ('{"id": 5}', "invalid_input", 5),
        ('{"id": 5, "chunk": {}}', "invalid_input", 5),
        ('{"id": 5, "op": "no.such"}', "not_found", 5),
        ('{"id": 5, "op": "testing.inline", "data": {"token": 1}}', "invalid_input", 5),
        ("[" * 50_000, "invalid_input", None),
    ],
)
def test_what_is_wrong_is_answered_and_the_connection_goes_on(
    socket: ClientConnection, message: str, code: str, known: int | None
) -> None:
    socket.send(message)
    error = hear(socket)
    assert (error["error"]["code"], error["id"]) == (code, known)
    say(socket, id=6, op="system.echo", data={"text": "still here"})
    assert hear(socket)["data"]["text"] == "still here"


def test_text_that_is_not_utf8_closes_the_connection_and_is_no_error_of_the_server() -> None:
    with serving() as server:
        with connect(server.ws_url) as socket:
            socket.send(b'{"id": 5, "\xff"}', text=True)
            with pytest.raises(ConnectionClosed) as closed:
                socket.recv(60)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == CloseCode.INVALID_DATA
        with connect(server.ws_url) as another:
            say(another, id=1, op="system.echo", data={})
            hear(another)
        assert not [line for line in server.whole_log() if "UTF-8" in line]


def test_a_call_ends_once_however_much_is_sent_after_it(socket: ClientConnection) -> None:
    say(socket, id=1, op="testing.mirror", data={"count": -1})
    for _ in range(10):
        say(socket, id=1, chunk={"token": "late"})
    say(socket, id=1, end={})
    say(socket, id=2, op="system.echo", data={"text": "last"})
    heard = [hear(socket), hear(socket)]
    assert {m["id"] for m in heard} == {1, 2}
    assert next(m for m in heard if m["id"] == 1)["error"]["code"] == "invalid_input"


def test_a_sender_far_ahead_of_a_slow_call_is_refused_and_others_go_on(
    socket: ClientConnection,
) -> None:
    say(socket, id=1, op="testing.slow_mirror", data={"seconds": 60})
    chunk = json.dumps({"id": 1, "chunk": {"token": "x" * 900_000}})
    for _ in range(300):
        socket.send(chunk)
        say(socket, id=2, op="system.echo", data={"text": "hi"})
        heard = [hear(socket)]
        while heard[-1]["id"] == 1:
            assert heard[-1]["error"]["code"] == "overloaded"
            heard.append(hear(socket))
        if len(heard) > 1:
            return
    pytest.fail("it took everything")


def test_cancel_ends_a_call_that_waits_for_items(socket: ClientConnection) -> None:
    say(socket, id=1, op="testing.mirror", data={})
    say(socket, id=1, chunk={"token": "a"})
    assert hear(socket)["chunk"]["token"] == "a"
    say(socket, id=1, chunk=None)
    say(socket, id=1, cancel=True)
    assert hear(socket)["error"]["code"] == "cancelled"
