"""The HTTP door, put together."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from sensorium.core.dispatch import Dispatcher
from sensorium.core.loading import load
from sensorium.core.telemetry import Telemetry
from sensorium.transports.http.compat.bodies import Bodies
from sensorium.transports.http.compat.founding import FOUNDING
from sensorium.transports.http.door import HttpDoor
from sensorium.transports.http.exchange import JSON, Exchange
from sensorium.transports.http.origin import Senders
from sensorium.transports.http.pages import routes as page_routes
from sensorium.transports.http.routes import HEALTH, Route
from sensorium.transports.http.settings import HttpSettings

OPENAI = (
    *("/v1/chat", "/v1/completions", "/v1/embeddings", "/v1/models", "/v1/responses"),
    *("/v1/audio", "/v1/batches", "/v1/files", "/v1/images", "/v1/moderations"),
)
"""At those of the second line there is nothing, which is told in OpenAI's form."""
COMPAT = "sensorium.transports.http.compat"


def build(
    dispatcher: Dispatcher,
    settings: HttpSettings,
    telemetry: Telemetry,
    mounted: Mapping[str, Any],
    *,
    model_file: Callable[[str, str, str], Path] | None = None,
    max_body_bytes: int = 64 << 20,
) -> Any:
    """The ASGI application that serves a dispatcher; `mounted` are other doors, by path.

    `model_file` finds the files that other nodes may fetch; without it there is no `/hub`.
    """

    documents: dict[frozenset[str], bytes] = {}

    async def openapi(exchange: Exchange) -> None:
        nouns = dispatcher.registry.nouns  # a plugin that is found later brings another document
        if nouns not in documents:
            make = load("sensorium.transports.http.openapi:document")
            documents[nouns] = await asyncio.to_thread(make, dispatcher.registry)
        await exchange.answer(200, JSON, documents[nouns])

    async def metrics(exchange: Exchange) -> None:
        body, media_type = load("sensorium.transports.http.metrics:scrape")(telemetry)
        await exchange.answer(200, media_type, body)

    routes = {
        "/api-doc/openapi.json": Route(openapi),
        "/metrics": Route(metrics, permission="system.metrics"),
        **page_routes(settings),
    }
    bodies = Bodies(max_body_bytes)
    openai = _late(f"{COMPAT}.openai.door:OpenAI", dispatcher, bodies)
    anthropic = _late(f"{COMPAT}.anthropic.door:Anthropic", dispatcher, bodies)

    async def models(exchange: Exchange) -> None:
        await (anthropic if b"anthropic-version" in exchange.headers else openai)(exchange)

    families = {
        **dict.fromkeys(OPENAI, openai),
        "/v1/models": models,
        "/v1/messages": anthropic,
        "/api": _late(f"{COMPAT}.ollama.door:Ollama", dispatcher, bodies),
        "/v2": _late(f"{COMPAT}.open_inference:OpenInference", dispatcher),
    }
    if model_file is not None:
        families["/hub"] = _late(f"{COMPAT}.hub:Hub", dispatcher, model_file)
    door: Any = HttpDoor(
        dispatcher,
        Senders(settings),
        routes=routes,
        aliases={**HEALTH, **FOUNDING},
        mounted=mounted,
        families=families,
        timeout_s=settings.request_timeout_s,
    )
    if settings.cors_origins:
        middleware = load("starlette.middleware.cors:CORSMiddleware")
        door = middleware(
            door,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["*"],
            expose_headers=["x-request-id", "request-id", "retry-after"],
        )
    return door


def _late(target: str, *parts: Any) -> Callable[[Exchange], Awaitable[None]]:
    """What serves a family of addresses, loaded when the first of them is asked for."""
    made = cache(lambda: load(target)(*parts))

    async def serve(exchange: Exchange) -> None:
        await made().serve(exchange)

    return serve
