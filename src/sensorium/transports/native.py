"""Native messaging: the envelope for a browser's extension, over standard input and output.

A frame is its length, four bytes in the machine's order, and that much JSON, both ways (Chrome's
and Firefox's native messaging). A browser takes at most a mebibyte from us at once, so a longer
message goes in parts (`parts.py`).
"""

import asyncio
import os
import stat
import struct
import sys
from collections.abc import AsyncIterator, Iterator
from typing import IO

import msgspec

from sensorium.core.dispatch import LOCAL, Dispatcher
from sensorium.core.errors import PayloadTooLargeError, UnavailableError
from sensorium.transports.conversation import Conversation
from sensorium.transports.envelope import Outgoing
from sensorium.transports.parts import parts_of

LENGTH = struct.Struct("=I")
MAX_INCOMING = 64 << 20
"""The most that a browser sends."""
MAX_OUTGOING = 1 << 20
READ_BYTES = 1 << 16


def framed(message: bytes) -> Iterator[bytes]:
    """A message as the frames that carry it."""
    return (LENGTH.pack(len(part)) + part for part in parts_of(message, MAX_OUTGOING))


async def messages(reader: asyncio.StreamReader) -> AsyncIterator[bytes | None]:
    """The messages that come, until the other end closes; None for one that is too long.

    A frame that ends in the middle is dropped: nobody is there to be told.
    """
    try:
        while True:
            (length,) = LENGTH.unpack(await reader.readexactly(LENGTH.size))
            if length <= MAX_INCOMING:
                yield await reader.readexactly(length)
                continue
            while length:
                length -= len(await reader.readexactly(min(length, READ_BYTES)))
            yield None
    except asyncio.IncompleteReadError:
        return


class NativeDoor:
    """Serves the one program that holds the other ends of `incoming` and `outgoing`."""

    def __init__(self, dispatcher: Dispatcher, incoming: IO[bytes], outgoing: IO[bytes]) -> None:
        self._conversation = Conversation(dispatcher, lambda: LOCAL, "native", self._send)
        self._incoming = incoming
        self._outgoing = outgoing
        self._writer: asyncio.StreamWriter | None = None
        self._sending = asyncio.Lock()

    async def serve(self) -> None:
        """Serve until the other end closes; what still runs then is stopped."""
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), self._incoming)
        transport, protocol = await loop.connect_write_pipe(
            asyncio.streams.FlowControlMixin, self._outgoing
        )
        self._writer = asyncio.StreamWriter(transport, protocol, None, loop)
        try:
            async for message in messages(reader):
                if message is None:
                    error = PayloadTooLargeError(f"a message has at most {MAX_INCOMING} bytes")
                    await self._send(msgspec.json.encode(Outgoing(None, error=error.body())))
                else:
                    await self._conversation.hear(message)
        except (BrokenPipeError, ConnectionResetError):  # nobody reads any more
            pass
        finally:
            await self._conversation.close()
            self._writer.close()

    async def finish(self) -> None:
        """Begin no more calls, and return when those that run have ended."""
        await self._conversation.finish()

    async def close(self) -> None:
        """Stop what still runs, and tell the other end."""
        await self._conversation.close(UnavailableError("the server is stopping"))

    async def _send(self, message: bytes) -> None:
        assert self._writer is not None
        async with self._sending:  # the parts of a message stand together
            for frame in framed(message):
                self._writer.write(frame)
                await self._writer.drain()


def take_standard_streams() -> tuple[IO[bytes], IO[bytes]]:
    """Standard input and output for frames alone: what else is printed goes to standard error.

    Raises:
        UnavailableError: they are no pipes, as they are where a browser starts us.
    """
    for each in (0, 1):
        try:
            mode = os.fstat(each).st_mode
        except OSError:
            mode = 0
        if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)):
            raise UnavailableError(
                "native messaging wants pipes on standard input and output: a browser starts it"
            )
    sys.stdout.flush()
    outgoing = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    return os.fdopen(os.dup(0), "rb", buffering=0), outgoing
