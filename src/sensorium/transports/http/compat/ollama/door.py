"""What serves `/api`; loaded with the first request for it."""

import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, suppress
from dataclasses import replace
from typing import Any

import msgspec

from sensorium.core.dispatch import Answer, Caller, Dispatcher
from sensorium.core.errors import NotFoundError, SensoriumError
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
from sensorium.transports.http.compat.ollama.errors import error_body, naming, status
from sensorium.transports.http.compat.ollama.models import (
    SUCCESS,
    Listed,
    PullSpeaker,
    Shown,
    running,
    show,
    tags,
)
from sensorium.transports.http.compat.ollama.names import ours, reference
from sensorium.transports.http.compat.ollama.requests import Embedding, Named, OldEmbedding
from sensorium.transports.http.compat.ollama.texts import Chat, Generate
from sensorium.transports.http.compat.reading import encoded, read
from sensorium.transports.http.compat.refusing import admit, refuse
from sensorium.transports.http.compat.spoken import Whole
from sensorium.transports.http.compat.vectors import Vectors
from sensorium.transports.http.exchange import JSON, Exchange
from sensorium.transports.http.problems import MethodNotAllowedError
from sensorium.transports.http.speaking import speak

VERSION = "0.13.0"
"""The version of Ollama whose protocol this is; clients ask for one that is new enough."""
PUBLIC = "/api/version"
"""It tells which protocol this is, and nothing that the server holds."""

Serve = Callable[[Exchange, Caller], Awaitable[None]]


class Ollama:
    """Serves Ollama's addresses."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher
        self._addresses: dict[str, Serve] = {
            "/api/chat": self._chat,
            "/api/generate": self._generate,
            "/api/embed": self._embed,
            "/api/embeddings": self._embed_one,
            "/api/tags": self._tags,
            "/api/ps": self._running,
            "/api/show": self._show,
            "/api/pull": self._pull,
            "/api/delete": self._delete,
        }

    async def serve(self, exchange: Exchange) -> None:
        """Answer one request; errors are in Ollama's form."""
        try:
            if exchange.scope["path"] == PUBLIC:
                await _version(exchange)
                return
            caller = admit(exchange, self._dispatcher, "chat.complete")
            serve = self._addresses.get(exchange.scope["path"])
            if serve is None:
                there = ", ".join((PUBLIC, *self._addresses))
                raise NotFoundError(f"of Ollama's addresses, there are {there} here")
            await serve(exchange, caller)
        except SensoriumError as error:
            await refuse(exchange, error, status(error), error_body(error))

    async def _chat(self, exchange: Exchange, caller: Caller) -> None:
        await self._say(exchange, caller, await read(exchange, Chat), in_message, "chat")

    async def _generate(self, exchange: Exchange, caller: Caller) -> None:
        asked = await read(exchange, Generate)
        await self._say(exchange, caller, asked, in_response, "text" if asked.raw else "chat")

    async def _say(
        self,
        exchange: Exchange,
        caller: Caller,
        asked: Chat | Generate,
        wording: Wording,
        noun: str,
    ) -> None:
        model, keep_s = asked.named, asked.keep_s
        payload = encoded(asked.request())
        with naming(model):
            if asked.says_nothing:
                await self._load(exchange, caller, asked, wording)
            elif asked.streams:
                items = self._dispatcher.stream(f"{noun}.stream", payload, caller)
                kept = self._kept(items, caller, model, keep_s)
                speaker = TextSpeaker(model, wording, thinks=asked.thinks, top=asked.top)
                await speak(exchange, kept, speaker)
            else:
                with exchange.while_connected():
                    found = await self._dispatcher.call(f"{noun}.complete", payload, caller)
                    await self._keep(caller, model, keep_s)
                read_as = found.read(Whole)
                body = whole(read_as, model, wording, thinks=asked.thinks, top=asked.top)
                await _answer(exchange, body)

    async def _load(
        self, exchange: Exchange, caller: Caller, asked: Chat | Generate, wording: Wording
    ) -> None:
        """Load a model, or unload it, as a request without a question asks."""
        model, keep_s = ours(asked.named), asked.keep_s
        with exchange.while_connected():
            if keep_s == 0:
                await self._call("models.get", {"model": model}, caller)  # there is none: 404
                with suppress(NotFoundError):
                    await self._call("models.unload", {"model": model}, caller)
            else:
                await self._call("models.load", {"model": model, "keep_alive_s": keep_s}, caller)
        body = idle(asked.named, wording, "unload" if keep_s == 0 else "load")
        if asked.streams:
            await exchange.answer(200, NDJSON, line(body))
        else:
            await _answer(exchange, body)

    async def _kept(
        self,
        items: AsyncGenerator[Answer, None],
        caller: Caller,
        model: str,
        keep_s: float | None,
    ) -> AsyncGenerator[Answer, None]:
        """The items; after them the model stays as long as was asked."""
        async with aclosing(items):
            async for item in items:
                yield item
        await self._keep(caller, model, keep_s)

    async def _keep(self, caller: Caller, model: str, keep_s: float | None) -> None:
        """Have a model stay so long after a call, where the caller may say that.

        It comes after the call, so that a key of few calls has its answer first.
        """
        if keep_s is None:
            return
        name = "models.unload" if keep_s == 0 else "models.load"
        request: dict[str, Any] = {"model": ours(model)}
        if keep_s != 0:
            request["keep_alive_s"] = keep_s
        if caller.principal.covers(name):
            with suppress(SensoriumError):
                await self._call(name, request, replace(caller, idempotency_key=None))

    async def _embed(self, exchange: Exchange, caller: Caller) -> None:
        asked = await read(exchange, Embedding)
        began = time.perf_counter()
        found = await self._vectors(exchange, caller, asked)
        body = {
            "model": asked.named,
            "embeddings": await found.rows(),
            "total_duration": int((time.perf_counter() - began) * NS),
            "load_duration": 0,
            "prompt_eval_count": found.tokens,
        }
        await _answer(exchange, body)

    async def _embed_one(self, exchange: Exchange, caller: Caller) -> None:
        asked = await read(exchange, OldEmbedding)
        found = await self._vectors(exchange, caller, asked)
        await _answer(exchange, {"embedding": (await found.rows())[0]})

    async def _vectors(
        self, exchange: Exchange, caller: Caller, asked: Embedding | OldEmbedding
    ) -> Vectors:
        keep_s = asked.keep_s
        with naming(asked.named), exchange.while_connected():
            found = await self._call("text.embed", asked.request(), caller)
            await self._keep(caller, asked.named, keep_s)
        return found.read(Vectors)

    async def _tags(self, exchange: Exchange, caller: Caller) -> None:
        _only_get(exchange)
        found = await self._call("models.list", {}, caller)
        await _answer(exchange, tags(found.read(Listed)))

    async def _running(self, exchange: Exchange, caller: Caller) -> None:
        _only_get(exchange)
        found = await self._call("models.list", {"loaded": True}, caller)
        await _answer(exchange, running(found.read(Listed)))

    async def _show(self, exchange: Exchange, caller: Caller) -> None:
        asked = await read(exchange, Named)
        with naming(asked.named):
            found = await self._call("models.get", {"model": ours(asked.named)}, caller)
        await _answer(exchange, show(found.read(Shown).entry))

    async def _delete(self, exchange: Exchange, caller: Caller) -> None:
        asked = await read(exchange, Named, "DELETE")
        with naming(asked.named):
            await self._call("models.delete", {"model": ours(asked.named)}, caller)
        await exchange.answer(200, JSON, b"")

    async def _pull(self, exchange: Exchange, caller: Caller) -> None:
        asked = await read(exchange, Named)
        payload = encoded({"model": reference(asked.named)})
        items = self._dispatcher.stream("models.pull", payload, caller)
        if asked.streams:
            await speak(exchange, items, PullSpeaker())
            return
        with exchange.while_connected():
            async with aclosing(items):
                async for _ in items:
                    pass
        await _answer(exchange, SUCCESS)

    async def _call(self, name: str, request: dict[str, Any], caller: Caller) -> Answer:
        return await self._dispatcher.call(name, encoded(request), caller)


async def _version(exchange: Exchange) -> None:
    _only_get(exchange)
    await _answer(exchange, {"version": VERSION})


def _only_get(exchange: Exchange) -> None:
    if exchange.method not in ("GET", "HEAD"):
        raise MethodNotAllowedError("GET, HEAD")


async def _answer(exchange: Exchange, body: Any) -> None:
    await exchange.answer(200, JSON, msgspec.json.encode(body))
