"""Streams over HTTP: NDJSON by default, server-sent events where the client asks for them.

NDJSON lines are the envelope's: `{"chunk": …}`, and at the end `{"end": {}}` or `{"error": …}`.
A listening operation takes its items from the request's body, one per line: JSON objects
(`application/x-ndjson`), or plain lines where it takes lines (`text/plain`); its request comes
as the query string, or, with `?request_in_body=true`, as the first line. An empty line says that
the client is still there.
"""

from collections.abc import AsyncIterator, Iterable, Sequence

import msgspec

from sensorium.core.dispatch import Answer, Caller, Dispatcher, Encoded
from sensorium.core.errors import (
    MalformedInputError,
    NotSupportedError,
    PayloadTooLargeError,
    SensoriumError,
)
from sensorium.core.operation import Kind, Operation
from sensorium.transports.http.exchange import Exchange
from sensorium.transports.http.speaking import SSE, event, speak

MAX_LINE = 8 << 20
REQUEST_IN_BODY = "request_in_body"


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
    items = dispatcher.stream(operation.name, payload, caller, incoming)
    await speak(exchange, items, Events() if as_events else Lines())


class Lines:
    """NDJSON; see `Speaker`."""

    media_type = b"application/x-ndjson"
    keep_alive = b"\n"

    def begin(self) -> Iterable[bytes]:
        """Nothing."""
        return ()

    def item(self, answer: Answer) -> Iterable[bytes]:
        """A line."""
        return (b'{"chunk":%s}\n' % answer.json(),)

    def end(self) -> Iterable[bytes]:
        """A line that says so."""
        return (b'{"end":{}}\n',)

    def fail(self, error: SensoriumError) -> Iterable[bytes]:
        """A line that tells it."""
        return (b'{"error":%s}\n' % msgspec.json.encode(error.body()),)


class Events:
    """Server-sent events; see `Speaker`."""

    media_type = SSE
    keep_alive = b": wait\n\n"

    def begin(self) -> Iterable[bytes]:
        """Nothing."""
        return ()

    def item(self, answer: Answer) -> Iterable[bytes]:
        """A message."""
        return (event(answer.json()),)

    def end(self) -> Iterable[bytes]:
        """An event of that name."""
        return (event(b"{}", "end"),)

    def fail(self, error: SensoriumError) -> Iterable[bytes]:
        """An event of that name."""
        return (event(msgspec.json.encode(error.body()), "error"),)


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
