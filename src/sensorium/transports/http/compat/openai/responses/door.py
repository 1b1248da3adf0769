"""What is done at `/v1/responses` and below it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from sensorium.core.codec import explained
from sensorium.core.errors import InvalidInputError
from sensorium.transports.http.compat.call import Call, decoded
from sensorium.transports.http.compat.likelihoods import listed
from sensorium.transports.http.compat.openai.errors import NotKeptError, UnknownAddressError
from sensorium.transports.http.compat.openai.responses import answers
from sensorium.transports.http.compat.openai.responses.events import ResponseSpeaker
from sensorium.transports.http.compat.openai.responses.items import Item, Message, messages
from sensorium.transports.http.compat.openai.responses.kept import Keeper, Kept
from sensorium.transports.http.compat.openai.responses.requests import NAMES, CreateResponse
from sensorium.transports.http.compat.openai.sampling import refuse
from sensorium.transports.http.compat.spoken import Counted, Whole
from sensorium.transports.http.speaking import speak

Output = dict[str, Any]
LISTED: dict[str, Output] = {"output_text": {"annotations": []}, "input_image": {"detail": "auto"}}
"""What parts of these types have where they are listed, said or not."""
Fields = Callable[[CreateResponse, list[Message]], dict[str, Any]]


class Query(Struct):
    """What is asked of what is kept: how, and which of its items."""

    stream: bool = False
    order: Literal["asc", "desc"] = "desc"
    after: str = ""
    limit: Annotated[int, Meta(ge=1, le=100)] = 20


@dataclass(frozen=True)
class _Asked:
    """What is asked, and of what it is to be gone on with."""

    body: CreateResponse
    previous: Kept | None
    said: list[Message]
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
                kept = self._keeper.find(call.caller.principal.id, id_)
                await call.answer(_listed(kept.items, _query(call)))
            case _:
                raise UnknownAddressError

    async def _create(self, call: Call) -> None:
        asked, request = await self._read(call, "chat.complete", CreateResponse.fields)
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
        await call.answer(over(body))

    async def _read(self, call: Call, operation: str, fields: Fields) -> tuple[_Asked, Struct]:
        """What is asked, and the operation's request."""

        def read(body: bytes) -> tuple[_Asked, Struct]:
            asked = self._asked(call.caller.principal.id, decoded(body, CreateResponse))
            return asked, call.request(operation, fields(asked.body, asked.said), NAMES)

        call.only("POST")
        return await call.bodies.read(call.exchange, read)

    def _asked(self, principal: str, body: CreateResponse) -> _Asked:
        """What is asked, with what it refers to.

        Raises:
            InvalidInputError: that is not kept any more.
        """
        previous, items, field = None, body.items, "previous_response_id"
        referred = [each.id for each in items if each.type == "item_reference"]
        if len(referred) > len(set(referred)):  # or a small body could become any size
            raise InvalidInputError("an item may be referred to once", details={"at": "input"})
        try:
            if body.previous_response_id is not None:
                previous = self._keeper.find(principal, body.previous_response_id)
            for index, item in enumerate(items):
                field = f"input[{index}]"
                if item.type == "item_reference":
                    kept = self._keeper.item(principal, item.id or "")
                    items[index] = msgspec.convert(kept, Item)
        except NotKeptError as error:
            raise InvalidInputError(error.message, details={"at": field}) from None
        before = previous.messages if previous is not None else []
        return _Asked(body, previous, [*before, *messages(items)])

    def _keep(self, principal: str, asked: _Asked, body: Output) -> Output:
        """Keep what is over, unless nobody wants that; the body, which says whether it is kept."""
        if asked.body.store is False:
            return body
        items = [_item(msgspec.to_builtins(each)) for each in asked.body.items]
        if asked.previous is not None:
            items = [*asked.previous.items, *asked.previous.body["output"], *items]
        answer = msgspec.convert(body["output"], list[Item])
        said = [*asked.said, *messages(answer)]
        return {**body, "store": self._keeper.keep(principal, body, items, said)}

    async def _kept(self, call: Call, id_: str) -> None:
        call.only("GET", "HEAD", "DELETE")
        principal = call.caller.principal.id
        if call.exchange.method == "DELETE":
            self._keeper.delete(principal, id_)
            await call.answer({"id": id_, "object": "response", "deleted": True})
        else:
            refuse(_query(call), ("stream",))
            await call.answer(self._keeper.find(principal, id_).body)

    async def _count(self, call: Call) -> None:
        """How many tokens would be read."""
        _, request = await self._read(call, "text.count", CreateResponse.counted)
        with call.exchange.while_connected():
            found = await call.ask("text.count", request, Counted)
        await call.answer({"object": "response.input_tokens", "input_tokens": found.tokens})


def _item(item: Output) -> Output:
    """An item as it is listed: with an id and a status, and with its content in whole parts."""
    content = item.get("content")
    if isinstance(content, str):
        text = "output_text" if item.get("role") == "assistant" else "input_text"
        content = [{"type": text, "text": content}]
    if content is not None:
        item["content"] = [{**LISTED.get(each["type"], {}), **each} for each in content]
    kind = "msg" if item.get("type", "message") == "message" else "item"
    return {"type": "message", "id": answers.new_id(kind), "status": "completed", **item}


def _listed(items: list[Output], page: Query) -> Output:
    """A page of what was asked, the latest first unless the query says otherwise."""
    items = items if page.order == "asc" else items[::-1]
    places = {"": 0, **{each["id"]: place for place, each in enumerate(items, 1)}}
    if page.after not in places:
        raise InvalidInputError("there is no item of that id", details={"at": "after"})
    rest = items[places[page.after] :]
    data = rest[: page.limit]
    ends = {"first_id": data[0]["id"], "last_id": data[-1]["id"]} if data else {}
    return {"object": "list", "data": data, "has_more": len(rest) > len(data), **ends}


def _query(call: Call) -> Query:
    try:
        return msgspec.convert(call.exchange.fields(), Query, strict=False)
    except msgspec.ValidationError as error:
        raise explained(error) from None
