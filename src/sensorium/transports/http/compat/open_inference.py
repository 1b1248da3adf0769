"""The Open Inference Protocol v2 under `/v2`, with the binary tensor and repository extensions.

https://github.com/kserve/open-inference-protocol, and Triton's extensions to it.
"""

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

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

R = TypeVar("R")
EXTENSIONS = ["binary_tensor_data", "model_configuration", "model_repository", "statistics"]
MODEL = re.compile(
    r"/v2/models/(?P<model>[^/]+(?:/[^/]+)??)(?:/versions/(?P<version>[0-9]+))?"
    r"(?:/(?P<verb>ready|config|stats|infer))?"
)
REPOSITORY = re.compile(r"/v2/repository/models/(?P<model>[^/]+(?:/[^/]+)??)/(?P<verb>load|unload)")


class _Entry(Struct):
    name: str
    version: str
    state: str


class _Loaded(Struct):
    name: str
    version: str
    platform: str
    inputs: list[TensorSpec]
    outputs: list[TensorSpec]
    joins_calls: bool
    state: str


class _Models(Struct):
    models: list[_Entry]
    loaded: list[_Loaded]


class _Model(Struct):
    versions: list[str]
    loaded: _Loaded | None = None


class OpenInference:
    """Serves everything under `/v2` that is not a health address."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher

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
        found, loaded = await self._loaded(caller, model, version)
        return {
            "name": model,
            "versions": [version] if version else found.versions,
            "platform": loaded.platform,
            "inputs": loaded.inputs,
            "outputs": loaded.outputs,
        }

    async def _ready(self, caller: Caller, model: str, version: str) -> dict[str, Any]:
        """Ready is a model that is loaded and whose latest real inference did not fail."""
        found = await self._call("models.get", caller, _Model, model=model, version=version)
        if found.loaded is None or found.loaded.state == "failing":
            raise InvalidInputError(f"the model {model} is not ready")
        return {"name": model, "ready": True}

    async def _config(self, caller: Caller, model: str, version: str) -> dict[str, Any]:
        """What Triton's clients read of a configuration."""
        _, loaded = await self._loaded(caller, model, version)
        return {
            "name": model,
            "platform": loaded.platform,
            "max_batch_size": 0,  # shapes are told whole, with the rows
            "input": [_configured(each) for each in loaded.inputs],
            "output": [_configured(each) for each in loaded.outputs],
        }

    async def _stats(self, caller: Caller, model: str, version: str) -> dict[str, Any]:
        """Which models are loaded; counts are in /metrics."""
        found = await self._call("models.list", caller, _Models, loaded=True)
        stats = [
            {"name": each.name, "version": each.version}
            for each in found.loaded
            if model in ("", each.name) and version in ("", each.version)
        ]
        return {"model_stats": stats}

    async def _index(self, exchange: Exchange, caller: Caller) -> None:
        asked = await _json(exchange)
        found = await self._call("models.list", caller, _Models)
        index = [
            {
                "name": each.name,
                "version": each.version,
                "state": "UNAVAILABLE" if each.state == "unloaded" else "READY",
                "reason": "it is loaded when it is first wanted"
                if each.state == "unloaded"
                else "",
            }
            for each in found.models
            if not (asked.get("ready") and each.state == "unloaded")
        ]
        await exchange.answer(200, JSON, msgspec.json.encode(index))

    async def _move(self, exchange: Exchange, caller: Caller, model: str, verb: str) -> None:
        await _json(exchange)
        await self._call(f"models.{verb}", caller, Struct, model=model)
        await exchange.answer(200, JSON, b"{}")

    async def _infer(self, exchange: Exchange, caller: Caller, model: str, version: str) -> None:
        length = exchange.header(HEADER_LENGTH)
        media_type = "application/vnd.open-inference" + ("" if length else "+json")
        fields = {"model": model, "version": version, "header_length": length}
        payload = await exchange.payload(media_type, fields)
        with exchange.while_connected():
            answer = await self._dispatcher.call("models.infer", payload, caller)
        await write_answer(exchange, answer.read(Inferred), model)

    async def _loaded(self, caller: Caller, model: str, version: str) -> tuple[_Model, _Loaded]:
        found = await self._call(
            "models.get", caller, _Model, model=model, version=version, load=True
        )
        assert found.loaded is not None
        return found, found.loaded

    async def _call(self, name: str, caller: Caller, returns: type[R], **fields: Any) -> R:
        operation = self._dispatcher.registry.get(name)
        answer = await self._dispatcher.call(name, operation.request(**fields), caller)
        return answer.read(returns)


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
