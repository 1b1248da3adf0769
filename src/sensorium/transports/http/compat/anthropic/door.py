"""What serves Anthropic's addresses; loaded with the first request for one."""

from functools import partial

from sensorium.core.dispatch import Dispatcher
from sensorium.core.errors import NotFoundError
from sensorium.transports.http.compat.anthropic.answers import message
from sensorium.transports.http.compat.anthropic.errors import error_body, status
from sensorium.transports.http.compat.anthropic.models import list_models, retrieve_model
from sensorium.transports.http.compat.anthropic.requests import NAMES, Counting, MessageRequest
from sensorium.transports.http.compat.anthropic.stream import MessageSpeaker
from sensorium.transports.http.compat.bodies import Bodies
from sensorium.transports.http.compat.call import Call
from sensorium.transports.http.compat.refusing import refusing
from sensorium.transports.http.compat.spoken import Counted, Whole
from sensorium.transports.http.exchange import Exchange
from sensorium.transports.http.speaking import speak


class Anthropic:
    """Serves Anthropic's addresses."""

    def __init__(self, dispatcher: Dispatcher, bodies: Bodies) -> None:
        self._dispatcher = dispatcher
        self._bodies = bodies

    async def serve(self, exchange: Exchange) -> None:
        """Answer one request; errors are in Anthropic's form."""
        id_ = exchange.request_id
        exchange.always.append((b"request-id", id_.encode()))  # where the clients look for it
        async with refusing(exchange, partial(error_body, request_id=id_), status):
            await _route(Call.admitted(exchange, self._dispatcher, self._bodies))


async def _route(call: Call) -> None:
    path: str = call.exchange.scope["path"]
    match path.removeprefix("/v1/").rstrip("/").split("/"):
        case ["messages"]:
            await _message(call)
        case ["messages", "count_tokens"]:
            await _count(call)
        case ["models"]:
            await list_models(call)
        case ["models", *name]:
            await retrieve_model(call, "/".join(name))
        case _:
            raise NotFoundError("of Anthropic's, there are messages, count_tokens and models here")


async def _message(call: Call) -> None:
    asked, request = await call.read_for(
        "chat.complete", MessageRequest, MessageRequest.request, lambda _: NAMES
    )
    id_ = call.exchange.request_id
    if asked.stream:
        items = call.dispatcher.stream("chat.stream", request, call.caller)
        await speak(call.exchange, items, MessageSpeaker(asked.model, id_, thinks=asked.thinks))
        return
    with call.exchange.while_connected():
        found = await call.ask("chat.complete", request, Whole)
    await call.answer(message(found, asked.model, id_, thinks=asked.thinks))


async def _count(call: Call) -> None:
    _, request = await call.read_for("text.count", Counting, Counting.counted)
    with call.exchange.while_connected():
        found = await call.ask("text.count", request, Counted)
    await call.answer({"input_tokens": found.tokens})
