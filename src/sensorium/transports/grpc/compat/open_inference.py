"""`inference.GRPCInferenceService`: the Open Inference Protocol v2 and Triton's repository calls.

https://github.com/kserve/open-inference-protocol
"""

from collections.abc import AsyncIterator
from typing import Any

import grpc
import msgspec
from msgspec import Struct

from sensorium.core.dispatch import ANONYMOUS, Caller, Dispatcher
from sensorium.core.errors import InvalidInputError, SensoriumError
from sensorium.core.tensors import Tensor, TensorSpec, pack_bytes, pack_numbers
from sensorium.core.version import VERSION
from sensorium.transports.grpc.calls import Context, caller_of, fail
from sensorium.transports.grpc.compat.messages import DATATYPES, message_classes, methods
from sensorium.transports.open_inference import UNSUPPORTED, Repository

EXTENSIONS = ["model_configuration", "model_repository", "statistics"]
INFER = "models.infer"
FEW = 1 << 16
"""So many typed elements of all inputs are taken; more would hold up the server, and travel raw."""
CONTENTS = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}
"""Where typed elements stand; the protocol has no field for halves."""


class _Ready(Struct):
    ready: bool


class _Output(Struct):
    name: str
    datatype: str
    shape: list[int]
    data: bytes = b""


class _Inferred(Struct):
    version: str
    outputs: list[_Output]


class OpenInferenceService(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Serves the protocol's methods from the `models` operations."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher
        self._repository = Repository(dispatcher)
        self._messages = message_classes()
        self._handlers = {
            path: self._handler(path.rpartition("/")[2], request, response, streamed)
            for path, request, response, streamed in methods()
        }

    def service(self, details: grpc.HandlerCallDetails) -> Any:
        """What serves a method; None for those that are not the protocol's."""
        return self._handlers.get(details.method)

    def _handler(self, method: str, request: str, response: str, streamed: bool) -> Any:
        wire = {
            "request_deserializer": self._messages[request].FromString,
            "response_serializer": self._messages[response].SerializeToString,
        }
        if streamed:
            return grpc.stream_stream_rpc_method_handler(self._infer_stream, **wire)
        answer = getattr(self, "_" + _snake(method))

        async def serve(message: Any, context: Context) -> Any:
            try:
                return await answer(message, caller_of(self._dispatcher, context))
            except Exception as error:
                await fail(context, error)
                raise AssertionError from error  # not reached: a failed call is aborted

        return grpc.unary_unary_rpc_method_handler(serve, **wire)

    async def _server_live(self, message: Any, caller: Caller) -> Any:
        del message
        await self._repository.call("system.health", caller, Struct)
        return self._messages["ServerLiveResponse"](live=True)

    async def _server_ready(self, message: Any, caller: Caller) -> Any:
        del message
        found = await self._repository.call("system.ready", caller, _Ready)
        return self._messages["ServerReadyResponse"](ready=found.ready)

    async def _server_metadata(self, message: Any, caller: Caller) -> Any:
        del message, caller
        return self._messages["ServerMetadataResponse"](
            name="sensorium", version=VERSION, extensions=EXTENSIONS
        )

    async def _model_ready(self, message: Any, caller: Caller) -> Any:
        ready = await self._repository.is_ready(caller, message.name, message.version)
        return self._messages["ModelReadyResponse"](ready=ready)

    async def _model_metadata(self, message: Any, caller: Caller) -> Any:
        versions, loaded = await self._repository.loaded(caller, message.name, message.version)
        described = self._messages["ModelMetadataResponse.TensorMetadata"]
        return self._messages["ModelMetadataResponse"](
            name=message.name,
            versions=versions,
            platform=loaded.platform,
            inputs=[described(**msgspec.structs.asdict(each)) for each in loaded.inputs],
            outputs=[described(**msgspec.structs.asdict(each)) for each in loaded.outputs],
        )

    async def _model_config(self, message: Any, caller: Caller) -> Any:
        """What Triton's clients read of a configuration; shapes are told whole, with the rows."""
        _, loaded = await self._repository.loaded(caller, message.name, message.version)
        config = self._messages["ModelConfig"](name=message.name, platform=loaded.platform)
        for each in loaded.inputs:
            config.input.add(name=each.name, data_type=_number(each), dims=each.shape)
        for each in loaded.outputs:
            config.output.add(name=each.name, data_type=_number(each), dims=each.shape)
        return self._messages["ModelConfigResponse"](config=config)

    async def _model_statistics(self, message: Any, caller: Caller) -> Any:
        answer = self._messages["ModelStatisticsResponse"]()
        for name, number in await self._repository.statistics(
            caller, message.name, message.version
        ):
            answer.model_stats.add(name=name, version=number)
        return answer

    async def _repository_index(self, message: Any, caller: Caller) -> Any:
        answer = self._messages["RepositoryIndexResponse"]()
        for each in await self._repository.index(caller, ready=message.ready):
            answer.models.add(**msgspec.structs.asdict(each))
        return answer

    async def _repository_model_load(self, message: Any, caller: Caller) -> Any:
        await self._repository.load(caller, message.model_name, message.parameters)
        return self._messages["RepositoryModelLoadResponse"]()

    async def _repository_model_unload(self, message: Any, caller: Caller) -> Any:
        await self._repository.unload(caller, message.model_name)
        return self._messages["RepositoryModelUnloadResponse"]()

    async def _model_infer(self, message: Any, caller: Caller) -> Any:
        if not caller.principal.covers(INFER) or caller.principal is ANONYMOUS:
            self._dispatcher.authorise(caller.principal, INFER)  # before anything is unpacked
        for each in (*message.inputs, *message.outputs):
            if any(name in each.parameters for name in UNSUPPORTED):
                raise InvalidInputError(f"{', '.join(UNSUPPORTED)} are not supported")
        found = await self._repository.call(
            INFER,
            caller,
            _Inferred,
            model=message.model_name,
            version=message.model_version,
            inputs=tensors(message),
            outputs=[each.name for each in message.outputs],
            raw=True,
        )
        answer = self._messages["ModelInferResponse"](
            model_name=message.model_name, model_version=found.version, id=message.id
        )
        for each in found.outputs:
            answer.outputs.add(name=each.name, datatype=each.datatype, shape=each.shape)
            answer.raw_output_contents.append(each.data)
        return answer

    async def _infer_stream(
        self, messages: AsyncIterator[Any], context: Context
    ) -> AsyncIterator[Any]:
        """Each request's answer, or what was wrong with it, in their order."""
        answer = self._messages["ModelStreamInferResponse"]
        try:
            caller = caller_of(self._dispatcher, context)
            async for message in messages:
                try:
                    caller.principal = self._dispatcher.renew(caller.principal)
                    inferred = await self._model_infer(message, caller)
                    yield answer(infer_response=inferred)
                except SensoriumError as error:
                    failed = self._messages["ModelInferResponse"](id=message.id)
                    yield answer(error_message=error.message, infer_response=failed)
        except Exception as error:
            await fail(context, error)


def tensors(message: Any) -> list[Tensor]:
    """The inputs of a request, raw or typed.

    Raises:
        InvalidInputError: they do not fit what is said of them.
    """
    raw = message.raw_input_contents
    if sum(len(each) for given in message.inputs for each in _contents(given)) > FEW:
        raise InvalidInputError(f"more than {FEW} elements travel in raw_input_contents")
    if raw and len(raw) != len(message.inputs):
        raise InvalidInputError(f"{len(raw)} raw contents are not for {len(message.inputs)} inputs")
    try:
        return [
            Tensor(
                name=each.name,
                datatype=each.datatype,
                shape=list(each.shape),
                data=raw[index] if raw else _typed(each),
            )
            for index, each in enumerate(message.inputs)
        ]
    except KeyError as error:
        raise InvalidInputError(f"there is no datatype {error}") from None
    except ValueError as error:
        raise InvalidInputError(str(error)) from None


def _contents(given: Any) -> list[Any]:
    return [getattr(given.contents, field) for field in {*CONTENTS.values()}]


def _typed(given: Any) -> bytes:
    field = CONTENTS.get(given.datatype)
    if field is None:
        raise ValueError(f"{given.datatype} travels in raw_input_contents")
    found = getattr(given.contents, field)
    return pack_bytes(found) if given.datatype == "BYTES" else pack_numbers(given.datatype, found)


def _number(spec: TensorSpec) -> int:
    return DATATYPES.index("STRING" if spec.datatype == "BYTES" else spec.datatype)


def _snake(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_")
