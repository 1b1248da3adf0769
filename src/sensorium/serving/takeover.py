"""HTTP's socket: a new one, or that of a running server, whose place this one takes."""

import asyncio
import logging
import socket
from collections.abc import Callable
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path
from typing import Any

from sensorium.app import Settings
from sensorium.core.errors import SensoriumError, UnavailableError
from sensorium.core.loading import load
from sensorium.serving.stop import Stop

log = logging.getLogger("sensorium.serving")
HTTP = "sensorium.transports.http"
ATTEMPTS = 3


class Place:
    """Where HTTP listens. What is held open until the server's end goes into `held`.

    A server and the one that replaces it meet at a socket in the data folder, one for each address.
    """

    def __init__(self, settings: Settings, held: ExitStack) -> None:
        self.sock: socket.socket | None = None
        self._http = settings.http
        self._held = held
        self._taken: Any = None
        self._folder = settings.data_dir / "run"

    @property
    def is_taken(self) -> bool:
        """Whether the socket is another server's, which is still there."""
        return self._taken is not None

    @property
    def shared_grpc_port(self) -> int:
        """The port of gRPC at which that server is, too; 0 for none."""
        return int(self._taken.grpc_port) if self._taken is not None else 0

    def listen(self) -> None:
        """Have a socket of our own.

        Raises:
            UnavailableError: the port is taken.
        """
        self.sock = self._held.enter_context(import_module(f"{HTTP}.server").listen(self._http))

    def take(self) -> None:
        """Have the socket of the server that runs here; where none does, one of our own.

        Raises:
            SensoriumError: it cannot be taken over.
        """
        if not self._http.port:
            raise SensoriumError("--replace wants the port of the server that it replaces: --port")
        self._taken = load(f"{HTTP}.handover:take")(self._meeting)
        if self._taken is None:
            self._listen_where_nobody_is()
            return
        self._held.callback(self._taken.close)
        self.sock = self._taken.sock
        assert self.sock is not None
        if self.sock.getsockname()[:2] != self._address:  # its rules on keys would be another's
            raise UnavailableError("the server that runs there has another address; stop it first")

    def _listen_where_nobody_is(self) -> None:
        try:
            self.listen()
        except UnavailableError:
            raise UnavailableError(
                f"what listens on port {self._http.port} cannot be replaced: it is another program,"
                " or a Sensorium of another user, another --host or another --data-dir"
            ) from None
        log.info("nothing ran here that could be replaced")

    @property
    def _address(self) -> tuple[str, int]:
        """The numbers that the host's name stands for, and the port."""
        family = socket.AF_INET6 if ":" in self._http.host else socket.AF_INET
        try:
            found = socket.getaddrinfo(self._http.host, self._http.port, family)[0][4]
        except OSError as error:
            raise UnavailableError(f"there is no host {self._http.host!r}: {error}") from None
        return str(found[0]), int(found[1])

    @property
    def _meeting(self) -> Path:
        host, port = self._address
        return self._folder / f"{host.replace(':', '_')}-{port}.sock"

    async def release(self) -> None:
        """Have the server whose socket this is leave."""
        taken, self._taken = self._taken, None
        for _ in range(ATTEMPTS):
            if taken is None:  # there is none, or it is gone
                return
            if await asyncio.to_thread(taken.release):
                log.info("took over from the server that ran here")
                return
            # It has waited for long, and does so no more: it is asked again.
            taken = await asyncio.to_thread(load(f"{HTTP}.handover:take"), self._meeting)
            if taken is not None:
                self._held.callback(taken.close)
        log.error("the server that was replaced did not answer; it may still run")

    def offer(self, stop: Stop, grpc_port: Callable[[], int]) -> None:
        """Let a server that comes after us have the socket."""
        if self.sock is None or not self._http.port or not hasattr(socket, "AF_UNIX"):
            return
        loop = asyncio.get_running_loop()

        def taken() -> None:
            log.info("another server takes over")
            import_module(f"{HTTP}.server").linger()
            loop.call_soon_threadsafe(stop.leaving.set)

        try:
            offer = load(f"{HTTP}.handover:Offer")(self._meeting, self.sock, grpc_port, taken)
            self._held.callback(offer.close)
        except OSError as error:
            log.info("this server cannot be replaced while it runs: %s", error.strerror or error)
