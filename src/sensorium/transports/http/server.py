"""uvicorn around the door: sockets, TLS, time limits, and a stop that drains."""

import asyncio
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import uvicorn

from sensorium.core.errors import UnavailableError
from sensorium.core.loading import load
from sensorium.transports.envelope import MAX_MESSAGE
from sensorium.transports.http.protocol import GuardedProtocol
from sensorium.transports.http.settings import HttpSettings
from sensorium.transports.http.unread import Unread

BACKLOG = 2048
ENDING_S = 1.0
LINGER_S = 0.5
KEEP_ALIVE_S = 75
"""Longer than clients and load balancers keep an idle connection: it is theirs to close. Closed by
us in the moment in which it is used again, the call on it would be lost."""


def listen(settings: HttpSettings) -> socket.socket:
    """A socket at the address of the settings.

    Raises:
        UnavailableError: somebody else has that port, or the address is not ours.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        return socket.create_server((settings.host, settings.port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise UnavailableError(
            f"cannot listen on {settings.host} port {settings.port}: {_reason(error)}; choose "
            "another with --host and --port, or take over from a Sensorium there with --replace"
        ) from None


def _reason(error: OSError) -> str:
    """What the system says, without what Python adds to it."""
    return os.strerror(error.errno) if error.errno else str(error)


def linger() -> None:
    """From now on, leave idle connections a moment in which they can be used once more."""
    GuardedProtocol.linger_s = LINGER_S


def address(settings: HttpSettings, sock: socket.socket) -> str:
    """The address to type into a browser."""
    host, port = sock.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    name = f"[{host}]" if ":" in host else host
    return f"{'https' if settings.tls_certificate else 'http'}://{name}:{port}"


async def serve(
    app: Any,
    settings: HttpSettings,
    sock: socket.socket,
    *,
    on_listening: Callable[[], None],
    leaving: asyncio.Event,
    hurry: asyncio.Event,
) -> None:
    """Serve until `leaving` is set, then let what runs finish, up to `drain_s` or to `hurry`.

    Raises:
        UnavailableError: the certificate or its key cannot be used.
    """
    Unread.timeout_s = settings.request_timeout_s
    GuardedProtocol.max_connections = settings.max_connections
    config = uvicorn.Config(
        app,
        http=GuardedProtocol,
        ws=cast(Any, _late_websocket),
        ws_max_size=MAX_MESSAGE,
        ws_per_message_deflate=False,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=max(1, round(settings.drain_s)),
        backlog=BACKLOG,
        ssl_certfile=settings.tls_certificate or None,
        ssl_keyfile=settings.tls_key or None,
    )
    try:
        config.load()
    except OSError as error:
        raise UnavailableError(f"the TLS certificate cannot be used: {error}") from None
    server = _Server(config, on_listening)
    stopping = asyncio.create_task(_stop(server, leaving, hurry))
    try:
        await server.serve(sockets=[sock])
    finally:
        stopping.cancel()


class _Server(uvicorn.Server):
    """uvicorn's server that says when it listens, and leaves signals to us.

    Its own handling raises the signal again when it is done, which would end the process before
    the other parts are stopped.
    """

    def __init__(self, config: uvicorn.Config, on_listening: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_listening = on_listening

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """See uvicorn.Server."""
        await super().startup(sockets)
        self._on_listening()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """See uvicorn.Server; also waits until what it cancelled has said so to its clients."""
        await super().shutdown(sockets)
        if self.server_state.tasks and not self.force_exit:
            await asyncio.wait(self.server_state.tasks, timeout=ENDING_S)


async def _stop(server: _Server, leaving: asyncio.Event, hurry: asyncio.Event) -> None:
    await leaving.wait()
    server.should_exit = True
    await hurry.wait()
    server.force_exit = True


def _late_websocket(**arguments: Any) -> asyncio.Protocol:
    """The WebSocket protocol, whose library is loaded with the first connection."""
    protocol: asyncio.Protocol = load("sensorium.transports.http.upgraded:DrainingProtocol")(
        **arguments
    )
    return protocol
