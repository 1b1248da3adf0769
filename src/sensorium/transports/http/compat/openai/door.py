"""What serves `/v1/chat/completions` and its like."""

from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from sensorium.core.dispatch import Caller, Dispatcher, Encoded
from sensorium.core.errors import (
    InvalidInputError,
    MalformedInputError,
    NotFoundError,
    SensoriumError,
)
from sensorium.transports.http.compat.openai.answers import (
    ChatSpeaker,
    Conversation,
    completion,
)
from sensorium.transports.http.compat.openai.errors import error_body, status
from sensorium.transports.http.compat.openai.requests import ChatCompletion
from sensorium.transports.http.exchange import JSON, ClientGoneError, Exchange
from sensorium.transports.http.problems import MethodNotAllowedError, problem
from sensorium.transports.http.speaking import speak

S = TypeVar("S", bound=Struct)


class OpenAI:
    """Serves OpenAI's addresses."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher

    async def serve(self, exchange: Exchange) -> None:
        """Answer one request; errors are in OpenAI's form."""
        try:
            await self._route(exchange)
        except SensoriumError as error:
            if exchange.started or isinstance(error, ClientGoneError):
                raise
            _, headers, _ = problem(error, exchange.request_id)
            body = msgspec.json.encode(error_body(error))
            await exchange.answer(status(error), JSON, body, headers)

    async def _route(self, exchange: Exchange) -> None:
        path: str = exchange.scope["path"]
        caller = exchange.caller(self._dispatcher.identify(exchange.credential()))
        match path:
            case "/v1/chat/completions":
                await self._chat(exchange, caller)
            case _:
                raise NotFoundError("there is nothing here; /api-doc/ lists the operations")

    async def _chat(self, exchange: Exchange, caller: Caller) -> None:
        asked = await _body(exchange, ChatCompletion)
        payload = _payload(asked.request())
        top = asked.top_logprobs or 0
        if asked.stream:
            items = self._dispatcher.stream("chat.stream", payload, caller)
            speaker = ChatSpeaker(
                exchange.request_id, asked.model, usage=asked.include_usage, top=top
            )
            await speak(exchange, items, speaker)
            return
        with exchange.while_connected():
            answer = await self._dispatcher.call("chat.complete", payload, caller)
        body = completion(answer.read(Conversation), exchange.request_id, top=top)
        await exchange.answer(200, JSON, msgspec.json.encode(body))


async def _body(exchange: Exchange, kind: type[S]) -> S:
    """A request's body.

    Raises:
        MalformedInputError: it is not JSON.
        InvalidInputError: it is not of the protocol.
    """
    if exchange.method != "POST":
        raise MethodNotAllowedError("POST")
    given = (await exchange.payload()).body
    body = given if isinstance(given, bytes | bytearray) else b"".join([p async for p in given])
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise InvalidInputError(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise MalformedInputError("the body is not JSON") from None


def _payload(request: dict[str, Any]) -> Encoded:
    """The request as JSON, which the operation's own bounds are checked on."""
    body = msgspec.json.encode(request)
    return Encoded(body, len(body))
