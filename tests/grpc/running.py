"""Servers with a gRPC door, and channels to it."""

from collections.abc import Iterator
from contextlib import contextmanager

import grpc

from tests.faults.observing import until
from tests.servers import Server, serving

UNLIMITED = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
START_S = 20.0


def door(server: Server) -> str:
    """What the server says of its gRPC door."""
    with server.client(verify=False) as http:
        return str(http.get("/readyz").json()["doors"].get("grpc", ""))


def port_of(server: Server) -> int:
    """The port of its gRPC door, once it is open."""
    until(lambda: door(server) == "ready", START_S, "gRPC is ready")
    with server.client(verify=False) as http:
        return int(http.get("/readyz").json()["ports"]["grpc"])


@contextmanager
def serving_grpc(*flags: str, **environ: str) -> Iterator[tuple[Server, grpc.Channel]]:
    """A server, and a channel to it."""
    with (
        serving("--mode", "http,grpc", "--grpc-port", "0", *flags, environ=environ) as server,
        grpc.insecure_channel(f"127.0.0.1:{port_of(server)}", UNLIMITED) as channel,
    ):
        yield server, channel
