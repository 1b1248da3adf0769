"""HTTP's socket: a new one, or that of a running server, whose place this one takes."""

import asyncio
import logging
import socket
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
        name = f"{self._http.host.replace(':', '_')}-{self._http.port}.sock"
        self._meeting: Path | None = settings.data_dir / "run" / name if self._http.port else None

    @property
    def is_shared(self) -> bool:
        """Whether another server is still there."""
        return self._taken is not None

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
        if self._meeting is None:
            raise SensoriumError("--replace wants the port of the server that it replaces: --port")
        self._taken = load(f"{HTTP}.handover:take")(self._meeting)
        if self._taken is None:
            self.listen()
            return
        self._held.callback(self._taken.close)
        self.sock = self._taken.sock
        family = socket.AF_INET6 if ":" in self._http.host else socket.AF_INET
        wanted = socket.getaddrinfo(self._http.host, self._http.port, family)[0][4][:2]
        assert self.sock is not None
        if self.sock.getsockname()[:2] != wanted:  # whose rules on keys would be another's
            raise UnavailableError("the server that runs there has another address; stop it first")

    async def release(self) -> None:
        """Have the server whose socket this is leave."""
        taken, self._taken = self._taken, None
        for _ in range(ATTEMPTS):
            if taken is None or await asyncio.to_thread(taken.release):
                return  # it leaves, or is gone
            # It has waited for long, and does so no more: it is asked again.
            taken = await asyncio.to_thread(load(f"{HTTP}.handover:take"), self._meeting)
            if taken is not None:
                self._held.callback(taken.close)
        log.error("the server that was replaced did not answer; it may still run")

    def offer(self, stop: Stop) -> None:
        """Let a server that comes after us have the socket."""
        if self.sock is None or self._meeting is None or not hasattr(socket, "AF_UNIX"):
            return
        loop = asyncio.get_running_loop()

        def taken() -> None:
            import_module(f"{HTTP}.server").linger()
            loop.call_soon_threadsafe(stop.leaving.set)

        try:
            offer = load(f"{HTTP}.handover:Offer")(self._meeting, self.sock, taken)
            self._held.callback(offer.close)
        except OSError as error:
            log.info("this server cannot be replaced while it runs: %s", error.strerror or error)
