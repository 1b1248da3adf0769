"""What serves `/api`; loaded with the first request for it."""

import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, suppress
from dataclasses import replace
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from sensorium.core.dispatch import Answer, Dispatcher
from sensorium.core.errors import NotFoundError, SensoriumError
from sensorium.transports.http.compat.bodies import Bodies
from sensorium.transports.http.compat.call import READS, Call, decoded
from sensorium.transports.http.compat.models import listed
from sensorium.transports.http.compat.ollama.answers import (
    NDJSON,
    NS,
    TextSpeaker,
    Wording,
    idle,
    in_message,
    in_response,
    line,
    whole,
)
from sensorium.transports.http.compat.ollama.errors import error_body, naming
from sensorium.transports.http.compat.ollama.models import (
    SUCCESS,
    PullSpeaker,
    Shown,
    running,
    show,
    tags,
)
from sensorium.transports.http.compat.ollama.names import ours, reference
from sensorium.transports.http.compat.ollama.requests import NAMES, Embedding, Named, OldEmbedding
from sensorium.transports.http.compat.ollama.texts import Chat, Generate
from sensorium.transports.http.compat.refusing import refusing
from sensorium.transports.http.compat.spoken import Whole
from sensorium.transports.http.compat.vectors import Vectors
from sensorium.transports.http.exchange import JSON, Exchange
from sensorium.transports.http.problems import MethodNotAllowedError
from sensorium.transports.http.speaking import speak

VERSION = "0.13.0"
"""The version of Ollama whose protocol this is; clients ask for one that is new enough."""
PUBLIC = "/api/version"
"""It tells which protocol this is, and nothing that the server holds."""
E = TypeVar("E", Embedding, OldEmbedding)


class Ollama:
    """Serves Ollama's addresses."""

    def __init__(self, dispatcher: Dispatcher, bodies: Bodies) -> None:
        self._dispatcher = dispatcher
        self._bodies = bodies

    async def serve(self, exchange: Exchange) -> None:
        """Answer one request; errors are in Ollama's form."""
        path: str = exchange.scope["path"]
        async with refusing(exchange, error_body):
            if path == PUBLIC:
                await _version(exchange)
                return
            call = Call.admitted(exchange, self._dispatcher, self._bodies)
            if path not in ADDRESSES:
                there = ", ".join((PUBLIC, *ADDRESSES))
                raise NotFoundError(f"of Ollama's addresses, there are {there} here")
            await ADDRESSES[path](call)


async def _version(exchange: Exchange) -> None:
    if exchange.method not in READS:
        raise MethodNotAllowedError(", ".join(READS))
    await exchange.answer(200, JSON, msgspec.json.encode({"version": VERSION}))


async def _chat(call: Call) -> None:
    await _say(call, Chat, in_message)


async def _generate(call: Call) -> None:
    await _say(call, Generate, in_response)


async def _say(call: Call, kind: type[Chat] | type[Generate], wording: Wording) -> None:
    def read(body: bytes) -> tuple[Chat | Generate, Struct | None]:
        asked = decoded(body, kind)
        fields = asked.request()
        if asked.says_nothing:
            return asked, None
        return asked, call.request(f"{asked.noun}.complete", fields, NAMES)

    call.only("POST")
    exchange = call.exchange
    asked, request = await call.bodies.read(exchange, read)
    model, keep_s = asked.named, asked.keep_s
    with naming(model):
        if request is None:
            await _load(call, asked, wording)
        elif asked.streams:
            items = call.dispatcher.stream(f"{asked.noun}.stream", request, call.caller)
            speaker = TextSpeaker(model, wording, thinks=asked.thinks, top=asked.top)
            await speak(exchange, _kept(items, call, model, keep_s), speaker)
        else:
            with exchange.while_connected():
                found = await call.ask(f"{asked.noun}.complete", request, Whole)
                await _keep(call, model, keep_s)
            await call.answer(whole(found, model, wording, thinks=asked.thinks, top=asked.top))


async def _load(call: Call, asked: Chat | Generate, wording: Wording) -> None:
    """Load a model, or unload it, as a request without a question asks."""
    model, keep_s = ours(asked.named), asked.keep_s
    with call.exchange.while_connected():
        if keep_s == 0:
            await call.do("models.get", {"model": model})  # there is none: 404
            with suppress(NotFoundError):
                await call.do("models.unload", {"model": model})
        else:
            await call.do("models.load", {"model": model, "keep_alive_s": keep_s})
    body = idle(asked.named, wording, "unload" if keep_s == 0 else "load")
    if asked.streams:
        await call.exchange.answer(200, NDJSON, line(body))
    else:
        await call.answer(body)


async def _kept(
    items: AsyncGenerator[Answer, None], call: Call, model: str, keep_s: float | None
) -> AsyncGenerator[Answer, None]:
    """The items; after them the model stays as long as was asked."""
    async with aclosing(items):
        async for item in items:
            yield item
    await _keep(call, model, keep_s)


async def _keep(call: Call, model: str, keep_s: float | None) -> None:
    """Have a model stay so long after a call, where the caller may say that.

    It comes after the call, so that a key of few calls has its answer first.
    """
    if keep_s is None:
        return
    name = "models.unload" if keep_s == 0 else "models.load"
    fields: dict[str, Any] = {"model": ours(model)}
    if keep_s != 0:
        fields["keep_alive_s"] = keep_s
    if call.caller.principal.covers(name):
        again = replace(call, caller=replace(call.caller, idempotency_key=None))
        with suppress(SensoriumError):
            await again.do(name, fields)


async def _embed(call: Call) -> None:
    began = time.perf_counter()
    asked, found = await _vectors(call, Embedding)
    body = {
        "model": asked.named,
        "embeddings": (await found.rows())[: len(asked.texts)],
        "total_duration": int((time.perf_counter() - began) * NS),
        "load_duration": 0,
        "prompt_eval_count": found.tokens,
    }
    await call.answer(body)


async def _embed_one(call: Call) -> None:
    _, found = await _vectors(call, OldEmbedding)
    await call.answer({"embedding": (await found.rows())[0]})


async def _vectors(call: Call, kind: type[E]) -> tuple[E, Vectors]:
    asked, request = await call.read_for(
        "text.embed", kind, lambda asked: asked.request(), lambda _: NAMES
    )
    keep_s = asked.keep_s
    with naming(asked.named), call.exchange.while_connected():
        found = await call.ask("text.embed", request, Vectors)
        await _keep(call, asked.named, keep_s)
    return asked, found


async def _tags(call: Call) -> None:
    await call.answer(tags(await listed(call)))


async def _running(call: Call) -> None:
    await call.answer(running(await listed(call, loaded=True)))


async def _show(call: Call) -> None:
    asked = await call.read(Named)
    with naming(asked.named):
        found = await call.ask("models.get", {"model": ours(asked.named), "header": True}, Shown)
    await call.answer(show(found))


async def _delete(call: Call) -> None:
    asked = await call.read(Named, "DELETE")
    with naming(asked.named):
        await call.do("models.delete", {"model": ours(asked.named)})
    await call.exchange.answer(200, JSON, b"")


async def _pull(call: Call) -> None:
    asked = await call.read(Named)
    request = call.request("models.pull", {"model": reference(asked.named)})
    items = call.dispatcher.stream("models.pull", request, call.caller)
    if asked.streams:
        await speak(call.exchange, items, PullSpeaker())
        return
    with call.exchange.while_connected():
        async with aclosing(items):
            async for _ in items:
                pass
    await call.answer(SUCCESS)


ADDRESSES: dict[str, Callable[[Call], Awaitable[None]]] = {
    "/api/chat": _chat,
    "/api/generate": _generate,
    "/api/embed": _embed,
    "/api/embeddings": _embed_one,
    "/api/tags": _tags,
    "/api/ps": _running,
    "/api/show": _show,
    "/api/pull": _pull,
    "/api/delete": _delete,
}
