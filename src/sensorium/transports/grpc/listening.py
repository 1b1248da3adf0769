"""What a client sends to a listening operation: a message with the request, then one an item.

Only which of the two a message holds is read here; what is in it travels on as bytes.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import suppress
from typing import Any

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from sensorium.core.codec import PROTOBUF
from sensorium.core.dispatch import Encoded
from sensorium.core.errors import MalformedInputError
from sensorium.core.protobuf.schema import ITEM, REQUEST

AHEAD = 4
"""So many messages are read before they are wanted; then the client has to wait."""
LINGER_S = 0.2


def _stream_message() -> Any:
    """The message, with its parts left as the bytes that they are."""
    file = descriptor_pb2.FileDescriptorProto(name="stream.proto", syntax="proto3")
    message = file.message_type.add(name="Stream")
    message.oneof_decl.add(name="message")
    for number, name in enumerate((REQUEST, ITEM), 1):
        field = message.field.add(name=name, number=number, oneof_index=0)
        field.type = descriptor_pb2.FieldDescriptorProto.TYPE_BYTES
        field.label = descriptor_pb2.FieldDescriptorProto.LABEL_OPTIONAL
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("Stream"))


Stream = _stream_message()


class Incoming:
    """The messages of one call, read by a task of its own.

    The task is never stopped in the middle of a message, so that after an error it can go on.
    """

    def __init__(self, messages: AsyncIterator[bytes]) -> None:
        self._waiting: asyncio.Queue[bytes | None] = asyncio.Queue(AHEAD)
        self._reader = asyncio.create_task(self._read(messages))

    async def parts(self) -> AsyncGenerator[Encoded, None]:
        """The request, empty where the first message is an item, and then the items.

        Raises:
            MalformedInputError: a message is neither.
        """
        begun = False
        while (data := await self._waiting.get()) is not None:
            kind, part = _part(data)
            if kind is None or (kind == REQUEST and begun):
                raise MalformedInputError("a stream holds one request, and then items")
            if kind == ITEM and not begun:
                yield Encoded(media_type=PROTOBUF)
            begun = True
            yield Encoded(part, media_type=PROTOBUF)
        if not begun:
            yield Encoded(media_type=PROTOBUF)

    async def hear_out(self) -> None:
        """Take what the client still sends, for a moment.

        One that cannot write any more may take that for the call's end, and not see its status.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(LINGER_S):
                while not self._reader.done() or not self._waiting.empty():
                    await self._waiting.get()

    def close(self) -> None:
        """Read no more."""
        self._reader.cancel()

    async def _read(self, messages: AsyncIterator[bytes]) -> None:
        with suppress(grpc.RpcError):  # the client is gone, and the call is cancelled for it
            async for message in messages:
                await self._waiting.put(message)
        await self._waiting.put(None)


def _part(data: bytes) -> tuple[str | None, bytes]:
    message = Stream()
    try:
        message.ParseFromString(data)
    except DecodeError:
        raise MalformedInputError("a message of the stream cannot be read") from None
    kind: str | None = message.WhichOneof("message")
    return kind, getattr(message, kind) if kind else b""
