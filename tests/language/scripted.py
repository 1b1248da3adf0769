"""A door over operations that answer by a script: what a small model cannot be brought to say."""

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from msgspec import Struct, to_builtins

from sensorium.capabilities.language.schema import Chunk, Told
from sensorium.core.direct import DirectDispatcher
from sensorium.core.dispatch import Answer, Caller, Payload
from sensorium.core.execution import read_request
from sensorium.core.registry import Registry
from sensorium.core.telemetry import Telemetry
from sensorium.transports.http.settings import HttpSettings
from sensorium.transports.http.wiring import build

MODULES = {
    "chat": "sensorium.capabilities.language.chat",
    "text": "sensorium.capabilities.language.text",
    "models": "sensorium.capabilities.models.operations",
}


@dataclass
class Script(DirectDispatcher):
    """Checks each request as the operation would, notes it, and answers what it is told to."""

    chunks: list[Struct | Exception] = field(default_factory=list)
    whole: Struct | Exception | None = None
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    left: threading.Event = field(default_factory=threading.Event)
    """Whether a stream was ended before it was over."""

    def __post_init__(self) -> None:
        super().__init__(Registry(MODULES))

    def last(self, name: str) -> dict[str, Any]:
        """What an operation was last asked."""
        return next(request for asked, request in reversed(self.asked) if asked == name)

    async def call(self, name: str, payload: Payload, caller: Caller) -> Answer:
        """See `Dispatcher.call`."""
        del caller
        self._note(name, payload)
        if isinstance(self.whole, Exception):
            raise self.whole
        return Answer(self.whole)

    async def stream(
        self,
        name: str,
        payload: Payload,
        caller: Caller,
        incoming: AsyncIterator[Payload | None] | None = None,
    ) -> AsyncGenerator[Answer, None]:
        """See `Dispatcher.stream`; after the last chunk it hangs, unless that tells the end."""
        del caller, incoming
        self._note(name, payload)
        try:
            for each in self.chunks:
                if isinstance(each, Exception):
                    raise each
                yield Answer(each)
            last = self.chunks[-1]
            if isinstance(last, Chunk) and last.told is None:
                await asyncio.Event().wait()
        except (asyncio.CancelledError, GeneratorExit):
            self.left.set()
            raise

    def _note(self, name: str, payload: Payload) -> None:
        request = read_request(self.registry.get(name), payload, 64 << 20)
        self.asked.append((name, to_builtins(request, builtin_types=(bytes,))))


TOLD = Chunk(told=Told())


@contextmanager
def scripted() -> Iterator[tuple[Script, str]]:
    """A door over a script, in a thread of its own; gives both, the door by its address."""
    script = Script()
    door = build(script, HttpSettings(), Telemetry(), {})
    config = uvicorn.Config(door, port=0, lifespan="off", log_config=None, access_log=False)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            threading.Event().wait(0.005)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield script, f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = server.force_exit = True
        thread.join()
