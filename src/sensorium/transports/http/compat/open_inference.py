"""The Open Inference Protocol v2 under `/v2`, with the binary tensor and repository extensions.

https://github.com/kserve/open-inference-protocol, and Triton's extensions to it.
"""

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from sensorium.core.dispatch import Caller, Dispatcher
from sensorium.core.errors import (
    InvalidInputError,
    MalformedInputError,
    NotFoundError,
    PayloadTooLargeError,
    SensoriumError,
)
from sensorium.core.tensors import TensorSpec
from sensorium.core.version import VERSION
from sensorium.transports.http.compat.open_inference_answer import (
    HEADER_LENGTH,
    Inferred,
    write_answer,
)
from sensorium.transports.http.exchange import JSON, Exchange
from sensorium.transports.http.problems import MethodNotAllowedError, status_of
from sensorium.transports.open_inference import Repository

EXTENSIONS = ["binary_tensor_data", "model_configuration", "model_repository", "statistics"]
MODEL = re.compile(
    r"/v2/models/(?P<model>[^/]+(?:/[^/]+)??)(?:/versions/(?P<version>[0-9]+))?"
    r"(?:/(?P<verb>ready|config|stats|infer))?"
)
REPOSITORY = re.compile(r"/v2/repository/models/(?P<model>[^/]+(?:/[^/]+)??)/(?P<verb>load|unload)")


class OpenInference:
    """Serves everything under `/v2` that is not a health address."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher
        self._repository = Repository(dispatcher)

    async def serve(self, exchange: Exchange) -> None:
        """Answer one request; errors are of the protocol: `{"error": …}`."""
        try:
            await self._route(exchange)
        except SensoriumError as error:
            if exchange.started:
                raise
            headers: list[tuple[bytes, bytes]] = []
            if error.retry_after_s is not None:
                headers.append((b"retry-after", str(max(1, round(error.retry_after_s))).encode()))
            body = msgspec.json.encode({"error": error.message})
            await exchange.answer(_status(error), JSON, body, headers)

    async def _route(self, exchange: Exchange) -> None:
        path: str = exchange.scope["path"]
        caller = exchange.caller(self._dispatcher.identify(exchange.credential()))
        if path in ("/v2", "/v2/"):
            await self._get(exchange, self._server)
        elif path == "/v2/models/stats":
            await self._get(exchange, lambda: self._stats(caller, "", ""))
        elif path == "/v2/repository/index":
            _only(exchange, "POST")
            await self._index(exchange, caller)
        elif found := REPOSITORY.fullmatch(path):
            _only(exchange, "POST")
            await self._move(exchange, caller, found["model"], found["verb"])
        elif found := MODEL.fullmatch(path):
            await self._model(exchange, caller, found.groupdict(default=""))
        else:
            raise NotFoundError("there is nothing here; the protocol's addresses are under /v2")

    async def _model(self, exchange: Exchange, caller: Caller, asked: Mapping[str, str]) -> None:
        model, version = asked["model"], asked["version"]
        match asked["verb"]:
            case "infer":
                _only(exchange, "POST")
                await self._infer(exchange, caller, model, version)
            case "ready":
                await self._get(exchange, lambda: self._ready(caller, model, version))
            case "config":
                await self._get(exchange, lambda: self._config(caller, model, version))
            case "stats":
                await self._get(exchange, lambda: self._stats(caller, model, version))
            case _:
                await self._get(exchange, lambda: self._metadata(caller, model, version))

    async def _get(self, exchange: Exchange, answer: Callable[[], Awaitable[Any]]) -> None:
        _only(exchange, "GET")
        await exchange.answer(200, JSON, msgspec.json.encode(await answer()))

    async def _server(self) -> dict[str, Any]:
        return {"name": "sensorium", "version": VERSION, "extensions": EXTENSIONS}

    async def _metadata(self, caller: Caller, model: str, version: str) -> dict[str, Any]:
        versions, loaded = await self._repository.loaded(caller, model, version)
        return {
            "name": model,
            "versions": versions,
            "platform": loaded.platform,
            "inputs": loaded.inputs,
            "outputs": loaded.outputs,
        }

    async def _ready(self, caller: Caller, model: str, version: str) -> dict[str, Any]:
        if not await self._repository.is_ready(caller, model, version):
            raise InvalidInputError(f"the model {model} is not ready")
        return {"name": model, "ready": True}

    async def _config(self, caller: Caller, model: str, version: str) -> dict[str, Any]:
        """What Triton's clients read of a configuration."""
        _, loaded = await self._repository.loaded(caller, model, version)
        return {
            "name": model,
            "platform": loaded.platform,
            "max_batch_size": 0,  # shapes are told whole, with the rows
            "input": [_configured(each) for each in loaded.inputs],
            "output": [_configured(each) for each in loaded.outputs],
        }

    async def _stats(self, caller: Caller, model: str, version: str) -> dict[str, Any]:
        stats = await self._repository.statistics(caller, model, version)
        return {"model_stats": [{"name": name, "version": number} for name, number in stats]}

    async def _index(self, exchange: Exchange, caller: Caller) -> None:
        asked = await _json(exchange)
        index = await self._repository.index(caller, ready=bool(asked.get("ready")))
        await exchange.answer(200, JSON, msgspec.json.encode(index))

    async def _move(self, exchange: Exchange, caller: Caller, model: str, verb: str) -> None:
        asked = await _json(exchange)
        if verb == "load":
            parameters = asked.get("parameters") or {}
            if not isinstance(parameters, dict):
                raise MalformedInputError("the parameters are not a JSON object")
            await self._repository.load(caller, model, parameters)
        else:
            await self._repository.unload(caller, model)
        await exchange.answer(200, JSON, b"{}")

    async def _infer(self, exchange: Exchange, caller: Caller, model: str, version: str) -> None:
        length = exchange.header(HEADER_LENGTH)
        media_type = "application/vnd.open-inference" + ("" if length else "+json")
        fields = {"model": model, "version": version, "header_length": length}
        payload = await exchange.payload(media_type, fields)
        with exchange.while_connected():
            answer = await self._dispatcher.call("models.infer", payload, caller)
        await write_answer(exchange, answer.read(Inferred), model)


def _only(exchange: Exchange, method: str) -> None:
    allowed = ("GET", "HEAD") if method == "GET" else (method,)
    if exchange.method not in allowed:
        raise MethodNotAllowedError(", ".join(allowed))


def _status(error: SensoriumError) -> int:
    """The protocol's status: 400 where we say 422."""
    status = status_of(error)
    return 400 if status == 422 else status


async def _json(exchange: Exchange) -> dict[str, Any]:
    """A small JSON object, or nothing."""
    payload = await exchange.payload()
    if not isinstance(payload.body, bytes):
        raise PayloadTooLargeError("this address takes a small JSON object")
    try:
        return msgspec.json.decode(payload.body or b"{}", type=dict[str, Any])
    except msgspec.MsgspecError:
        raise MalformedInputError("the body is not a JSON object") from None


def _configured(spec: TensorSpec) -> dict[str, Any]:
    name = "STRING" if spec.datatype == "BYTES" else spec.datatype
    return {"name": spec.name, "data_type": f"TYPE_{name}", "dims": spec.shape}
