"""Native messaging as a driver: a process that speaks frames, as a browser starts one."""

import asyncio
import itertools
import json
import os
import struct
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from sensorium.core.operation import Operation
from tests.conformance import drivers
from tests.conformance.driver import Call, Driver, Outcome
from tests.conformance.samples import BadRequest
from tests.servers import PLUGIN, ROOT

LENGTH = struct.Struct("=I")
OWN = "system.activity"


class Pipe:
    """The browser's side of the pipes, as a connection that carries messages."""

    def __init__(self, incoming: asyncio.StreamReader, outgoing: asyncio.StreamWriter) -> None:
        self._incoming = incoming
        self._outgoing = outgoing

    async def send(self, message: bytes | str) -> None:
        body = message.encode() if isinstance(message, str) else message
        self._outgoing.write(LENGTH.pack(len(body)) + body)
        await self._outgoing.drain()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        parts = ""
        while head := await self._incoming.read(LENGTH.size):
            head += await self._incoming.readexactly(LENGTH.size - len(head))
            frame = await self._incoming.readexactly(*LENGTH.unpack(head))
            if not frame.startswith(b'{"id":') or b'"part":' not in frame[:80]:
                yield frame
                continue
            piece = json.loads(frame)
            parts += piece["part"]
            if not piece["more"]:
                yield parts.encode()
                parts = ""

    async def close(self) -> None:
        self._outgoing.close()


class NativeDriver(Driver):
    """Native messaging: whoever holds the pipes may call everything, so keys mean nothing."""

    name = "native"
    keyless = True

    def __init__(self, pipe: Pipe, process_id: int) -> None:
        self._connection = drivers._Connection(pipe)
        self._process_id = process_id
        self._numbers = itertools.count(1)

    async def call(self, call: Call) -> Outcome:
        number = next(self._numbers)
        message = drivers.enveloped(number, call)
        return await self._connection.call(call, number, message)

    async def load(self) -> float:
        answer = await self.call(Call(OWN))
        entries = msgspec.json.decode(answer.items[0])["operations"]
        return float(sum(e["in_flight"] for e in entries if e["operation"] != OWN))

    @property
    def process_id(self) -> int:
        return self._process_id

    def carries(self, operation: Operation, bad: BadRequest) -> bool:
        return bad.kind not in ("unreadable", "deep")  # no message of any call

    def carries_item(self, operation: Operation, bad: BadRequest) -> bool:
        return bad.kind not in ("unreadable", "deep") and bad.body != b"null"

    async def close(self) -> None:
        """End the process as a browser does."""
        await self._connection.close()


@asynccontextmanager
async def started() -> AsyncIterator[NativeDriver]:
    """A driver with a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "sensorium", "serve", "--mode", "native,webrtc", "--port", "0"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={
                **{k: v for k, v in os.environ.items() if not k.startswith("SENSORIUM_")},
                "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(PLUGIN)]),
                "SENSORIUM_DATA_DIR": folder,
                "SENSORIUM_WORKERS": "2",
                "SENSORIUM_OFFLINE": "true",
            },
        )
        assert process.stdin is not None
        assert process.stdout is not None
        driver = NativeDriver(Pipe(process.stdout, process.stdin), process.pid)
        try:
            yield driver
        finally:
            await driver.close()
            await process.wait()
