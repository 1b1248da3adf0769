"""The HTTP door, put together."""

import asyncio
from collections.abc import Mapping
from typing import Any

from sensorium.core.dispatch import Dispatcher
from sensorium.core.loading import load
from sensorium.core.telemetry import Telemetry
from sensorium.transports.http.compat.founding import FOUNDING
from sensorium.transports.http.compat.hub import Hub, ModelFile
from sensorium.transports.http.compat.open_inference import OpenInference
from sensorium.transports.http.compat.openai.door import OpenAI
from sensorium.transports.http.door import HttpDoor
from sensorium.transports.http.exchange import JSON, Exchange
from sensorium.transports.http.origin import Senders
from sensorium.transports.http.pages import routes as page_routes
from sensorium.transports.http.routes import HEALTH, Route
from sensorium.transports.http.settings import HttpSettings

OPENAI = ("/v1/chat", "/v1/completions", "/v1/embeddings", "/v1/models", "/v1/responses")


def build(
    dispatcher: Dispatcher,
    settings: HttpSettings,
    telemetry: Telemetry,
    mounted: Mapping[str, Any],
    *,
    model_file: ModelFile | None = None,
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
    openai = OpenAI(dispatcher).serve
    families = {"/v2": OpenInference(dispatcher).serve, **dict.fromkeys(OPENAI, openai)}
    if model_file is not None:
        families["/hub"] = Hub(dispatcher, model_file).serve
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
            allow_methods=["GET", "POST"],
            allow_headers=["*"],
            expose_headers=["x-request-id", "retry-after"],
        )
    return door
