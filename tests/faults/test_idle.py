"""A thousand connections that say nothing: others are served at once, and each costs little."""

import resource
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack

import psutil
import pytest

from tests.faults.observing import until
from tests.faults.peers import ON_SOCKETS, Grpc, Http, Peer, WebSocket, served
from tests.servers import Server

MANY: dict[type[Peer], int] = {Http: 400, WebSocket: 400, Grpc: 200}
EACH_KIB = 64
"""Far more than any has been seen to cost: 8 over HTTP, 22 over WebSocket, 21 over gRPC."""
PROMPT_S = 15.0
DESCRIPTORS = 4096
GET = b"GET /v1/health HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n"


@pytest.fixture
def own() -> Iterator[Server]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, DESCRIPTORS)), hard))
    try:
        with served("--workers", "2") as server:
            yield server
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def used(peer: Peer) -> socket.socket:
    """A connection over which something was answered once."""
    line = peer.line()
    line.sendall(GET if isinstance(peer, Http) else peer.begin("inline", {"token": "a"}))
    assert line.recv(1 << 16)
    return line


def test_a_thousand_idle_connections(own: Server) -> None:
    doors = [kind(own) for kind in ON_SOCKETS]
    for peer in doors * 4:  # so that what is loaded or started once is
        peer.echo("warm")
    process = psutil.Process(own.process.pid)
    held, threads = process.num_fds(), process.num_threads()
    with ExitStack() as lines:
        for peer, many in ((kind(own), many) for kind, many in MANY.items()):
            before = process.memory_info().rss
            for _ in range(many):
                lines.enter_context(used(peer))
            each_kib = (process.memory_info().rss - before) / many / 1024
            assert each_kib < EACH_KIB, f"{peer.name}: {each_kib:.0f} KiB a connection"
        states = [each.status for each in process.net_connections()]
        assert states.count(psutil.CONN_ESTABLISHED) >= sum(MANY.values())
        for peer in doors:
            began = time.monotonic()
            assert peer.echo(peer.name) == peer.name
            assert time.monotonic() - began < PROMPT_S, peer.name
    until(lambda: process.num_fds() <= held, 5, "every descriptor is given back")
    until(lambda: process.num_threads() <= threads, 5, "every thread is")
