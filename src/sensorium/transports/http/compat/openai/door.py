"""Which address of OpenAI's API is served by what."""

from sensorium.core.dispatch import Dispatcher
from sensorium.transports.http.compat.bodies import Bodies
from sensorium.transports.http.compat.call import Call
from sensorium.transports.http.compat.openai.chat import chat_completions
from sensorium.transports.http.compat.openai.completions import completions
from sensorium.transports.http.compat.openai.embeddings import embeddings
from sensorium.transports.http.compat.openai.errors import UnknownAddressError, error_body
from sensorium.transports.http.compat.openai.models import list_models, retrieve_model
from sensorium.transports.http.compat.openai.responses.door import Responses
from sensorium.transports.http.compat.refusing import refusing
from sensorium.transports.http.exchange import Exchange


class OpenAI:
    """Serves OpenAI's addresses."""

    def __init__(self, dispatcher: Dispatcher, bodies: Bodies) -> None:
        self._dispatcher = dispatcher
        self._bodies = bodies
        self._responses = Responses()

    async def serve(self, exchange: Exchange) -> None:
        """Answer one request; errors are in OpenAI's form."""
        async with refusing(exchange, error_body):
            await self._route(Call.admitted(exchange, self._dispatcher, self._bodies))

    async def _route(self, call: Call) -> None:
        path: str = call.exchange.scope["path"]
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
