"""More connections than there may be are refused, and those that are open go on."""

import json
from contextlib import ExitStack

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.faults.observing import until
from tests.servers import serving

MOST = 4


def test_connections_are_counted_whatever_they_speak() -> None:
    with serving("--max-connections", str(MOST)) as server, ExitStack() as stack:
        sockets = [stack.enter_context(connect(server.ws_url)) for _ in range(MOST)]
        with pytest.raises(InvalidStatus) as refused:
            connect(server.ws_url)
        response = refused.value.response
        assert response.status_code == 503
        assert response.headers["retry-after"] == "1"
        with server.client() as http:
            answer = http.get("/v1/health")
        assert answer.status_code == 503
        assert answer.json()["code"] == "overloaded"
        assert answer.headers["connection"] == "close"
        for socket in sockets:
            socket.send('{"id": 1, "op": "testing.inline", "data": {"token": "a"}}')
            assert json.loads(socket.recv(10))["data"]["token"] == "a"
        sockets[0].close()

        def served() -> bool:
            with server.client() as again:
                return again.get("/v1/health").status_code == httpx.codes.OK

        until(served, 5)
