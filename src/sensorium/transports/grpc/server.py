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
from sensorium.transports.grpc.compat.open_inference import OpenInferenceService
from sensorium.transports.grpc.door import GrpcDoor
from sensorium.transports.grpc.reflection import Reflection
from sensorium.transports.grpc.settings import GrpcSettings

log = logging.getLogger("sensorium.grpc")
STREAMS_PER_CONNECTION = 128
KEEP_ALIVE_S = 30
LOOK_S = 1.0
"""So often is looked whether the server still listens."""


class GrpcServer:
    """A server that is up. `port` is the one that it has."""

    port: int

    def __init__(self, server: Any, host: str, port: int, health_of: Any) -> None:
        self.port = port
        self._host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
        self._server = server
        self._health = health_of
        # One for all who wait: to cancel such a wait would end the calls that still run.
        self._ended = asyncio.ensure_future(server.wait_for_termination())

    async def accept(self, leaving: asyncio.Event) -> None:
        """Take calls until `leaving` is set, or it takes no more of its own accord.

        grpcio's server takes no more at a method whose name is not UTF-8. It then listens no
        longer, and says that it has terminated only when its last call has ended.
        """
        waits = [asyncio.ensure_future(each) for each in (leaving.wait(), self._refuses())]
        try:
            await asyncio.wait((self._ended, *waits), return_when=asyncio.FIRST_COMPLETED)
            if not leaving.is_set():
                log.error("the gRPC server takes no more calls")
        finally:
            for each in waits:
                each.cancel()

    async def finish(self, leaving: asyncio.Event, grace_s: float) -> None:
        """Let what runs finish; for so long, once `leaving` is set."""
        left = asyncio.ensure_future(leaving.wait())
        try:
            await asyncio.wait((self._ended, left), return_when=asyncio.FIRST_COMPLETED)
            if not self._ended.done():
                await self._health.enter_graceful_shutdown()
                await self._server.stop(grace_s)
        finally:
            left.cancel()

    async def _refuses(self) -> None:
        """Return when nobody listens at its port any more."""
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                _, writer = await asyncio.open_connection(self._host, self.port)
            except ConnectionRefusedError:
                return
            except OSError:  # of ours, such as too many open files
                continue
            writer.close()


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
    server.add_generic_rpc_handlers((GrpcDoor(dispatcher), OpenInferenceService(dispatcher)))
    health_of = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(health_of, server)
    reflection_pb2_grpc.add_ServerReflectionServicer_to_server(
        Reflection(dispatcher.registry), server
    )
    if not shared:
        _check_free(host, settings.grpc_port)
    port = _listen(server, settings, host, certificate)
    await server.start()
    return GrpcServer(server, host, port, health_of)


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
