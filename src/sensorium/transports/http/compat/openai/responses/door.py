"""What is done at `/v1/responses` and below it."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec
from msgspec import Struct

from sensorium.core.errors import InvalidInputError
from sensorium.transports.http.compat.call import Call, decoded
from sensorium.transports.http.compat.likelihoods import listed
from sensorium.transports.http.compat.openai.errors import NotKeptError, UnknownAddressError
from sensorium.transports.http.compat.openai.responses import answers
from sensorium.transports.http.compat.openai.responses.events import ResponseSpeaker
from sensorium.transports.http.compat.openai.responses.items import Item, messages
from sensorium.transports.http.compat.openai.responses.kept import Keeper, Kept
from sensorium.transports.http.compat.openai.responses.requests import NAMES, CreateResponse
from sensorium.transports.http.compat.spoken import Counted, Whole
from sensorium.transports.http.speaking import speak

Output = dict[str, Any]


@dataclass(frozen=True)
class _Asked:
    """What is asked, and of what it is to be gone on with."""

    body: CreateResponse
    previous: Kept | None
    said: list[Output]
    """What was said until now, the new input included."""


class Responses:
    """Serves responses, and keeps those that are over for a while."""

    def __init__(self) -> None:
        self._keeper = Keeper()

    async def serve(self, call: Call, path: list[str]) -> None:
        """Answer a request to an address below `/v1/responses`."""
        match path:
            case []:
                await self._create(call)
            case ["input_tokens"]:
                await self._count(call)
            case [id_]:
                await self._kept(call, id_)
            case [id_, "input_items"]:
                call.only("GET", "HEAD")
                await call.answer(_list(self._keeper.find(call.caller.principal.id, id_), call))
            case _:
                raise UnknownAddressError

    async def _create(self, call: Call) -> None:
        asked, request = await self._read(call, "chat.complete")
        top, body = asked.body.top_logprobs or 0, answers.begun(asked.body)
        over = partial(self._keep, call.caller.principal.id, asked)
        if asked.body.stream:
            items = call.dispatcher.stream("chat.stream", request, call.caller)
            await speak(call.exchange, items, ResponseSpeaker(body, top=top, over=over))
            return
        with call.exchange.while_connected():
            found = await call.ask("chat.complete", request, Whole)
        (chosen,) = found.choices
        output = answers.output_of(chosen.message, listed(chosen.steps, top), chosen.finish)
        body = answers.ended(body, output, found.model, found.usage, chosen.finish)
        over(body)
        await call.answer(body)

    async def _read(self, call: Call, operation: str) -> tuple[_Asked, Struct]:
        """What is asked, and the operation's request."""

        def read(body: bytes) -> tuple[_Asked, Struct]:
            given = decoded(body, CreateResponse)
            previous = self._previous(call, given)
            before = previous.messages if previous is not None else []
            asked = _Asked(given, previous, [*before, *messages(given.items)])
            fields = given.fields(asked.said)
            known = call.dispatcher.registry.get(operation).request.__struct_fields__
            taken = {name: value for name, value in fields.items() if name in known}
            return asked, call.request(operation, taken, NAMES)

        call.only("POST")
        return await call.bodies.read(call.exchange, read)

    def _previous(self, call: Call, given: CreateResponse) -> Kept | None:
        """The response that is gone on with.

        Raises:
            InvalidInputError: it is not kept any more.
        """
        if given.previous_response_id is None:
            return None
        try:
            return self._keeper.find(call.caller.principal.id, given.previous_response_id)
        except NotKeptError as error:
            field = {"at": "previous_response_id"}
            raise InvalidInputError(error.message, details=field) from None

    def _keep(self, principal: str, asked: _Asked, body: Output) -> None:
        """Keep what is over, unless nobody wants that."""
        if asked.body.store is False:
            return
        items = [_listed(msgspec.to_builtins(each)) for each in asked.body.items]
        if asked.previous is not None:
            items = [*asked.previous.items, *asked.previous.body["output"], *items]
        answer = msgspec.convert(body["output"], list[Item])
        self._keeper.keep(principal, body, items, [*asked.said, *messages(answer)])

    async def _kept(self, call: Call, id_: str) -> None:
        call.only("GET", "HEAD", "DELETE")
        principal = call.caller.principal.id
        if call.exchange.method == "DELETE":
            self._keeper.delete(principal, id_)
            await call.answer({"id": id_, "object": "response", "deleted": True})
        else:
            await call.answer(self._keeper.find(principal, id_).body)

    async def _count(self, call: Call) -> None:
        """How many tokens would be read."""
        _, request = await self._read(call, "text.count")
        with call.exchange.while_connected():
            found = await call.ask("text.count", request, Counted)
        await call.answer({"object": "response.input_tokens", "input_tokens": found.tokens})


def _listed(item: Output) -> Output:
    """An item as it is listed: with an id, and with its content in parts."""
    content = item.get("content")
    if isinstance(content, str):
        item["content"] = [{"type": "input_text", "text": content}]
    kind = "msg" if item.get("type", "message") == "message" else "item"
    return {"type": "message", "id": answers.new_id(kind), **item}


def _list(kept: Kept, call: Call) -> Output:
    """What was asked, the latest first unless the query says otherwise."""
    oldest_first = call.exchange.fields().get("order") == "asc"
    data = kept.items if oldest_first else kept.items[::-1]
    ends = {"first_id": data[0]["id"], "last_id": data[-1]["id"]} if data else {}
    return {"object": "list", "data": data, "has_more": False, **ends}
