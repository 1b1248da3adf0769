"""Streams that share a worker: one that is cancelled does not take the others with it."""

import json

from websockets.sync.client import connect

from tests.servers import serving

STREAMS = 16


def test_a_cancel_spares_the_streams_beside_it() -> None:
    with serving() as server, connect(server.ws_url) as socket:
        for number in range(STREAMS):
            data = {"count": 10_000_000, "seconds": 0.02}
            call = {"id": number, "op": "testing.count", "data": data}
            socket.send(json.dumps(call))
        begun: set[int] = set()
        while len(begun) < STREAMS:
            begun.add(json.loads(socket.recv(20))["id"])
        socket.send(json.dumps({"id": 0, "cancel": True}))
        after: set[int] = set()
        ended = False
        while not (ended and len(after) == STREAMS - 1):
            heard = json.loads(socket.recv(20))
            if "error" in heard:
                assert (heard["id"], heard["error"]["code"]) == (0, "cancelled")
                ended = True
            elif ended:
                after.add(heard["id"])
