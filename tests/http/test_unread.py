"""Clients that ask and do not read."""

import json
import time

import psutil
from websockets.sync.client import connect

from tests.servers import serving

LIMIT_MB = 60


def test_answers_that_nobody_reads_are_bounded_and_their_connection_is_ended() -> None:
    with serving("--request-timeout-s", "1") as server:
        process = psutil.Process(server.process.pid)
        before = process.memory_info().rss
        call = json.dumps({"id": 0, "op": "system.operations", "data": {"schemas": True}})
        with connect(server.ws_url, max_queue=1, close_timeout=1) as socket:
            socket.socket.settimeout(5)
            ended = False
            for number in range(5000):
                try:
                    socket.send(call.replace('"id": 0', f'"id": {number}'))
                except Exception:
                    ended = True
                    break
        grown_mb = (process.memory_info().rss - before) / 1e6
        until = time.monotonic() + 40
        while process.net_connections() and time.monotonic() < until:
            open_ones = [c for c in process.net_connections() if c.status == "ESTABLISHED"]
            if not open_ones:
                break
            time.sleep(0.1)
        else:
            raise AssertionError("the connection is still there")
        assert grown_mb < LIMIT_MB, (grown_mb, ended)
        assert server.stop(timeout_s=10) == 0, "what was asked and is heard by nobody is not done"
        assert not [line for line in server.whole_log() if "Traceback" in line]
