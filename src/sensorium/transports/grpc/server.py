"""grpcio's server around the door: its port, TLS, health and reflection."""

import asyncio
import logging
import socket
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2_grpc

from sensorium.core.dispatch import Dispatcher
from sensorium.core.errors import UnavailableError
from sensorium.transports.grpc.door import GrpcDoor
from sensorium.transports.grpc.reflection import Reflection
from sensorium.transports.grpc.settings import GrpcSettings

log = logging.getLogger("sensorium.grpc")
STREAMS_PER_CONNECTION = 128
KEEP_ALIVE_S = 30


class GrpcServer:
    """A server that is up. `port` is the one that it has."""

    port: int

    def __init__(self, server: Any, port: int, health_of: Any) -> None:
        self.port = port
        self._server = server
        self._health = health_of

    async def serve(self, leaving: asyncio.Event, grace_s: float) -> bool:
        """Serve until `leaving` is set, and let what runs then finish for so long.

        Returns False where it ended of its own accord: grpcio's server stops altogether at a
        method whose name is not UTF-8.
        """
        ended = asyncio.ensure_future(self._server.wait_for_termination())
        left = asyncio.ensure_future(leaving.wait())
        try:
            await asyncio.wait({ended, left}, return_when=asyncio.FIRST_COMPLETED)
            if not left.done():
                log.error("the gRPC server failed", exc_info=ended.exception())
                return False
            await self._health.enter_graceful_shutdown()
            await self._server.stop(grace_s)
            return True
        finally:
            for each in (ended, left):
                each.cancel()


async def start(
    dispatcher: Dispatcher,
    settings: GrpcSettings,
    host: str,
    certificate: tuple[str, str],
    *,
    shared: bool = False,
) -> GrpcServer:
    """Listen and serve. `certificate` are HTTP's PEM files, or two empty names.

    With `shared`, another server may be at the port: the one that this one replaces.

    Raises:
        UnavailableError: the port is taken, or a PEM file cannot be used.
    """
    server = grpc.aio.server(
        options=[
            ("grpc.max_receive_message_length", settings.grpc_max_message_bytes),
            ("grpc.max_send_message_length", -1),
            ("grpc.so_reuseport", 1),  # for a server that takes over from this one
            ("grpc.max_concurrent_streams", STREAMS_PER_CONNECTION),
            ("grpc.keepalive_time_ms", 1000 * KEEP_ALIVE_S),
            ("grpc.keepalive_timeout_ms", 1000 * KEEP_ALIVE_S),
        ],
        maximum_concurrent_rpcs=settings.grpc_max_calls,
    )
    server.add_generic_rpc_handlers((GrpcDoor(dispatcher),))
    health_of = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(health_of, server)
    reflection_pb2_grpc.add_ServerReflectionServicer_to_server(
        Reflection(dispatcher.registry), server
    )
    if not shared:
        _check_free(host, settings.grpc_port)
    port = _listen(server, settings, host, certificate)
    await server.start()
    return GrpcServer(server, port, health_of)


def _check_free(host: str, port: int) -> None:
    """grpcio would share the port with whoever lets it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except OSError:
        raise _taken(host, port) from None


def _taken(host: str, port: int) -> UnavailableError:
    return UnavailableError(
        f"gRPC cannot listen on {host} port {port}; choose another with --grpc-port"
    )


def _listen(server: Any, settings: GrpcSettings, host: str, certificate: tuple[str, str]) -> int:
    if settings.grpc_client_ca and not certificate[0]:
        raise UnavailableError("grpc_client_ca needs tls_certificate and tls_key: set them too")
    name = f"[{host}]" if ":" in host else host
    address = f"{name}:{settings.grpc_port}"
    try:
        if certificate[0]:
            credentials = _credentials(certificate, settings)
            return int(server.add_secure_port(address, credentials))
        return int(server.add_insecure_port(address))
    except RuntimeError:
        raise _taken(host, settings.grpc_port) from None


def _credentials(certificate: tuple[str, str], settings: GrpcSettings) -> Any:
    try:
        chain, key = (Path(name).read_bytes() for name in certificate)
        root = Path(settings.grpc_client_ca).read_bytes() if settings.grpc_client_ca else None
    except OSError as error:
        raise UnavailableError(f"a PEM file cannot be read: {error.strerror}") from None
    return grpc.ssl_server_credentials([(key, chain)], root, require_client_auth=root is not None)
