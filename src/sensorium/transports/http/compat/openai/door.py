"""Which address of OpenAI's API is served by what."""

import msgspec

from sensorium.core.dispatch import Dispatcher
from sensorium.core.errors import SensoriumError
from sensorium.transports.http.compat.openai.body import MAX_BODY_BYTES, Bodies
from sensorium.transports.http.compat.openai.call import Call
from sensorium.transports.http.compat.openai.chat import chat_completions
from sensorium.transports.http.compat.openai.errors import (
    WAITS,
    UnknownAddressError,
    error_body,
    status,
)
from sensorium.transports.http.compat.openai.models import list_models, retrieve_model
from sensorium.transports.http.exchange import JSON, ClientGoneError, Exchange
from sensorium.transports.http.problems import problem

RETRY_AFTER_S = 1.0


class OpenAI:
    """Serves OpenAI's addresses; a body has at most `max_body_bytes`."""

    def __init__(self, dispatcher: Dispatcher, max_body_bytes: int = MAX_BODY_BYTES) -> None:
        self._dispatcher = dispatcher
        self._bodies = Bodies(max_body_bytes)

    async def serve(self, exchange: Exchange) -> None:
        """Answer one request; errors are in OpenAI's form."""
        try:
            await self._route(exchange)
        except SensoriumError as error:
            if exchange.started or isinstance(error, ClientGoneError):
                raise
            if error.code in WAITS and error.retry_after_s is None:
                error.retry_after_s = RETRY_AFTER_S
            _, headers, _ = problem(error, exchange.request_id)
            body = msgspec.json.encode(error_body(error))
            await exchange.answer(status(error), JSON, body, headers)

    async def _route(self, exchange: Exchange) -> None:
        path: str = exchange.scope["path"]
        caller = exchange.caller(self._dispatcher.identify(exchange.credential()))
        call = Call(exchange, self._dispatcher, caller, self._bodies)
        match path.removeprefix("/v1/").rstrip("/").split("/"):
            case ["chat", "completions"]:
                await chat_completions(call)
            case ["models"]:
                await list_models(call)
            case ["models", *name]:
                await retrieve_model(call, "/".join(name))
            case _:
                raise UnknownAddressError
