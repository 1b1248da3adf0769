"""Which address of OpenAI's API is served by what."""

from sensorium.core.dispatch import Dispatcher
from sensorium.core.errors import InvalidInputError, SensoriumError
from sensorium.transports.http.compat.openai.body import MAX_BODY_BYTES, Bodies
from sensorium.transports.http.compat.openai.call import Call
from sensorium.transports.http.compat.openai.chat import chat_completions
from sensorium.transports.http.compat.openai.completions import completions
from sensorium.transports.http.compat.openai.embeddings import embeddings
from sensorium.transports.http.compat.openai.errors import (
    WAITS,
    UnknownAddressError,
    error_body,
    status,
)
from sensorium.transports.http.compat.openai.models import list_models, retrieve_model
from sensorium.transports.http.compat.openai.responses.door import Responses
from sensorium.transports.http.compat.refusing import admit, refuse
from sensorium.transports.http.exchange import Exchange

RETRY_AFTER_S = 1.0


class OpenAI:
    """Serves OpenAI's addresses; a body has at most `max_body_bytes`."""

    def __init__(self, dispatcher: Dispatcher, max_body_bytes: int = MAX_BODY_BYTES) -> None:
        self._dispatcher = dispatcher
        self._bodies = Bodies(max_body_bytes)
        self._responses = Responses()

    async def serve(self, exchange: Exchange) -> None:
        """Answer one request; errors are in OpenAI's form."""
        try:
            await self._route(exchange)
        except SensoriumError as error:
            if error.code in WAITS and error.retry_after_s is None:
                error.retry_after_s = RETRY_AFTER_S
            await refuse(exchange, error, status(error), error_body(error))
        except RecursionError:
            deep = InvalidInputError("the request nests too deeply")
            await refuse(exchange, deep, status(deep), error_body(deep))

    async def _route(self, exchange: Exchange) -> None:
        path: str = exchange.scope["path"]
        caller = admit(exchange, self._dispatcher, "chat.complete")
        call = Call(exchange, self._dispatcher, caller, self._bodies)
        match path.removeprefix("/v1/").rstrip("/").split("/"):
            case ["chat", "completions"]:
                await chat_completions(call)
            case ["completions"]:
                await completions(call)
            case ["embeddings"]:
                await embeddings(call)
            case ["models"]:
                await list_models(call)
            case ["models", *name]:
                await retrieve_model(call, "/".join(name))
            case ["responses", *below]:
                await self._responses.serve(call, below)
            case _:
                raise UnknownAddressError
