"""A revoked key opens nothing: not what it had opened, and not the server to everybody."""

import json
import time

from websockets.sync.client import connect

from sensorium.control.keys import KeyStore
from tests.servers import serving


def test_revoking_the_only_key_closes_what_it_opened() -> None:
    with serving(ready=False) as server, server.client() as http:
        key, text = KeyStore(server.data_dir).create("only")
        headers = {"x-api-key": text}
        while http.post("/v1/testing/inline", json={"token": "t"}).status_code != 401:
            time.sleep(0.05)  # it sees the key within a second
        with connect(server.ws_url, additional_headers=headers) as socket:

            def code() -> str:
                socket.send(json.dumps({"id": 1, "op": "system.echo", "data": {}}))
                heard = json.loads(socket.recv(30))
                return str(heard["error"]["code"]) if "error" in heard else "ok"

            assert code() == "ok"
            KeyStore(server.data_dir).revoke(key.id)
            until = time.monotonic() + 30
            while code() == "ok" and time.monotonic() < until:
                time.sleep(0.05)
            assert code() == "unauthenticated"
        assert http.post("/v1/testing/inline", json={"token": "t"}).status_code == 401
        refused = http.post("/v1/testing/inline", json={"token": "t"}, headers=headers)
        assert refused.status_code == 401
