"""Streams over HTTP: NDJSON by default, server-sent events where the client asks for them.

NDJSON lines are the envelope's: `{"chunk": …}`, and at the end `{"end": {}}` or `{"error": …}`.
A listening operation takes its items from the request's body, one per line: JSON objects
(`application/x-ndjson`), or plain lines where it takes lines (`text/plain`); its request comes
as the query string, or, with `?request_in_body=true`, as the first line. An empty line says that
the client is still there.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing

import msgspec

from sensorium.core.dispatch import Answer, Caller, Dispatcher, Encoded
from sensorium.core.errors import (
    MalformedInputError,
    NotSupportedError,
    PayloadTooLargeError,
    SensoriumError,
)
from sensorium.core.operation import Kind, Operation
from sensorium.transports.http.exchange import ClientGoneError, Exchange

FIRST_WAIT_S = 0.5
"""How long the status line waits for the first item, so that an early error has its own status."""
KEEP_ALIVE_S = 15.0
MAX_LINE = 8 << 20
REQUEST_IN_BODY = "request_in_body"
NDJSON = b"application/x-ndjson"
SSE = b"text/event-stream"


async def answer_stream(
    exchange: Exchange, dispatcher: Dispatcher, operation: Operation, caller: Caller
) -> None:
    """Call a streaming operation and send its items as they come."""
    incoming: AsyncIterator[Encoded | None] | None = None
    if operation.kind is Kind.DUPLEX:
        fields = exchange.fields()
        in_body = fields.pop(REQUEST_IN_BODY, "") == "true"
        incoming = _items(exchange, operation)
        payload = await _first(incoming) if in_body else Encoded(fields=fields)
    else:
        payload = await exchange.payload()
    as_events = "text/event-stream" in exchange.header(b"accept")
    writer = _Writer(exchange, as_events=as_events)
    items = dispatcher.stream(operation.name, payload, caller, incoming)
    try:
        async with exchange.while_connected(), aclosing(items):
            await writer.write_all(items)
    except ClientGoneError:
        raise
    except SensoriumError as error:
        if not exchange.started:
            raise
        await writer.fail(error)


class _Writer:
    """Writes items in one of the two formats, and always an end."""

    def __init__(self, exchange: Exchange, *, as_events: bool) -> None:
        self._exchange = exchange
        self._as_events = as_events

    async def write_all(self, items: AsyncIterator[Answer]) -> None:
        upcoming: asyncio.Task[Answer | None] | None = None
        try:
            while True:
                upcoming = asyncio.create_task(_following(items))
                await self._wait(upcoming)
                answer = upcoming.result()
                if answer is None:
                    break
                await self._write("chunk", answer.json())
            await self._write("end", b"{}")
        finally:
            if upcoming is not None and not upcoming.done():
                upcoming.cancel()
                await asyncio.gather(upcoming, return_exceptions=True)
        await self._exchange.write(b"", more=False)

    async def fail(self, error: SensoriumError) -> None:
        """End the stream with an error."""
        await self._write("error", msgspec.json.encode(error.body()))
        await self._exchange.write(b"", more=False)

    async def _wait(self, upcoming: "asyncio.Task[Answer | None]") -> None:
        """Wait for an item; meanwhile, begin the response and keep the connection alive."""
        if not self._exchange.started:
            await asyncio.wait({upcoming}, timeout=FIRST_WAIT_S)
            if upcoming.done():
                return
            await self._start()
        while not upcoming.done():
            await asyncio.wait({upcoming}, timeout=KEEP_ALIVE_S)
            if not upcoming.done():
                await self._exchange.write(b": wait\n\n" if self._as_events else b"\n", more=True)

    async def _write(self, kind: str, body: bytes) -> None:
        if not self._exchange.started:
            await self._start()
        if self._as_events:
            event = b"" if kind == "chunk" else f"event: {kind}\n".encode()
            await self._exchange.write(event + b"data: " + body + b"\n\n", more=True)
        else:
            await self._exchange.write(b'{"%s":%s}\n' % (kind.encode(), body), more=True)

    async def _start(self) -> None:
        media_type = SSE if self._as_events else NDJSON
        headers = [(b"content-type", media_type), (b"cache-control", b"no-store")]
        await self._exchange.start(200, headers)


async def _following(items: AsyncIterator[Answer]) -> Answer | None:
    return await anext(items, None)


async def _first(items: AsyncIterator[Encoded | None]) -> Encoded:
    async for item in items:
        if item is not None:
            return item
    raise MalformedInputError("the body's first line is to be the request, and there is none")


async def _items(exchange: Exchange, operation: Operation) -> AsyncIterator[Encoded | None]:
    """The request body's lines as items; None for a sign of life.

    Plain lines that arrive together travel together.
    """
    media_type = exchange.header(b"content-type").partition(";")[0].strip().lower()
    plain = media_type == "text/plain"
    if plain and operation.lines_field is None:
        raise MalformedInputError("this operation takes application/x-ndjson")
    if exchange.header(b"content-encoding") not in ("", "identity"):
        raise NotSupportedError("a streamed body cannot be compressed")
    begun: list[bytes] = []
    async for piece in exchange.pieces():
        end = piece.rfind(b"\n") + 1
        if end:
            for item in _cut(b"".join([*begun, piece[:end]]), plain=plain):
                yield item
            begun = []
        begun.append(piece[end:])
        if sum(map(len, begun)) > MAX_LINE:
            raise PayloadTooLargeError(f"a line may have at most {MAX_LINE} bytes")
    for item in _cut(b"".join(begun), plain=plain):
        yield item


def _cut(text: bytes, *, plain: bool) -> Sequence[Encoded | None]:
    if not text.strip():
        return [None] if text else []
    if plain:
        return [Encoded(text, media_type="text/plain")]
    return [Encoded(line) for line in text.split(b"\n") if line.strip()]
