"""What serves `/v1/messages`; loaded with the first request for it."""

import msgspec
from msgspec import Struct

from sensorium.core.dispatch import Caller, Dispatcher
from sensorium.core.errors import NotFoundError, SensoriumError
from sensorium.transports.http.compat.anthropic.answers import message
from sensorium.transports.http.compat.anthropic.errors import error_body, status
from sensorium.transports.http.compat.anthropic.requests import Counting, MessageRequest
from sensorium.transports.http.compat.anthropic.stream import MessageSpeaker
from sensorium.transports.http.compat.reading import encoded, read
from sensorium.transports.http.compat.refusing import admit, refuse
from sensorium.transports.http.compat.spoken import Whole
from sensorium.transports.http.exchange import JSON, Exchange, Headers
from sensorium.transports.http.speaking import speak


class Counted(Struct):
    """What is read of the answer of `text.count`."""

    tokens: int


class Anthropic:
    """Serves Anthropic's addresses."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher

    async def serve(self, exchange: Exchange) -> None:
        """Answer one request; errors are in Anthropic's form."""
        try:
            await self._route(exchange)
        except SensoriumError as error:
            body = error_body(error, exchange.request_id)
            await refuse(exchange, error, status(error), body, _named(exchange))

    async def _route(self, exchange: Exchange) -> None:
        caller = admit(exchange, self._dispatcher, "chat.complete")
        match exchange.scope["path"]:
            case "/v1/messages":
                await self._message(exchange, caller)
            case "/v1/messages/count_tokens":
                await self._count(exchange, caller)
            case _:
                raise NotFoundError("of Anthropic's, there are messages and count_tokens here")

    async def _message(self, exchange: Exchange, caller: Caller) -> None:
        asked = await read(exchange, MessageRequest)
        payload = encoded(asked.request())
        if asked.stream:
            items = self._dispatcher.stream("chat.stream", payload, caller)
            speaker = MessageSpeaker(asked.model, exchange.request_id, thinks=asked.thinks)
            await speak(exchange, items, speaker)
            return
        with exchange.while_connected():
            answer = await self._dispatcher.call("chat.complete", payload, caller)
        found = answer.read(Whole)
        body = message(found, asked.model, exchange.request_id, thinks=asked.thinks)
        await exchange.answer(200, JSON, msgspec.json.encode(body), _named(exchange))

    async def _count(self, exchange: Exchange, caller: Caller) -> None:
        asked = await read(exchange, Counting)
        with exchange.while_connected():
            answer = await self._dispatcher.call("text.count", encoded(asked.counted()), caller)
        body = {"input_tokens": answer.read(Counted).tokens}
        await exchange.answer(200, JSON, msgspec.json.encode(body), _named(exchange))


def _named(exchange: Exchange) -> Headers:
    """Where the clients look for the request's id."""
    return [(b"request-id", exchange.request_id.encode())]
