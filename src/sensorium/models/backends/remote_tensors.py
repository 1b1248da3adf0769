"""Models of tensors that others serve, in the Open Inference Protocol v2 with binary tensors."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, TypeVar
from urllib.parse import quote

import msgspec
from msgspec import Struct

from sensorium.core.arrays import to_array, to_tensor
from sensorium.core.errors import UnavailableError
from sensorium.core.tensors import Datatype, Tensor, TensorSpec
from sensorium.models.backends.base import Arrays, ModelSpec
from sensorium.models.backends.remote_answers import read
from sensorium.models.backends.remote_settings import RemoteSettings, Upstream
from sensorium.models.backends.remote_thread import LoopThread
from sensorium.models.backends.remote_upstreams import Source, Sources
from sensorium.models.backends.remote_wire import Wire
from sensorium.models.fitting import check_arrays, check_outputs

R = TypeVar("R")
LENGTH = "inference-header-content-length"
BINARY = "application/octet-stream"
SIZE = "binary_data_size"


class _Metadata(Struct):
    inputs: list[TensorSpec]
    outputs: list[TensorSpec]


class _Output(Struct):
    name: str
    datatype: Datatype
    shape: list[int]
    parameters: dict[str, Any] = {}
    data: Any = None


class _Outputs(Struct):
    outputs: list[_Output]


class RemoteTensorModel:
    """See `base.LoadedModel`. Where one server fails, the next is asked."""

    def __init__(self, settings: RemoteSettings) -> None:
        self._deadline_s = settings.deadline_s
        self._sources = Sources(
            [Source(each.host, _Asking(Wire(each), _path(each))) for each in settings.upstreams]
        )
        self._thread = LoopThread(self._close)
        self.interrupt = self._thread.interrupt
        self.close = self._thread.close
        try:
            found = self._first(_metadata)
        except BaseException:
            self.close()
            raise
        self.spec = ModelSpec(
            platform="remote_oip",
            inputs=found.inputs,
            outputs=found.outputs,
            providers=["remote"],
        )

    def infer(self, inputs: Arrays, outputs: Sequence[str]) -> Mapping[str, Any]:
        """See `LoadedModel.infer`.

        Raises:
            UnavailableError: the servers are away, or answer with something else.
        """
        check_arrays(self.spec.inputs, inputs)
        check_outputs(self.spec.outputs, outputs)
        datatypes = {each.name: each.datatype for each in self.spec.inputs}
        tensors = [to_tensor(name, array, datatypes[name]) for name, array in inputs.items()]
        head = msgspec.json.encode(
            {
                "inputs": [_described(each) for each in tensors],
                "outputs": [
                    {"name": each, "parameters": {"binary_data": True}} for each in outputs
                ],
            }
        )
        body = b"".join([head, *(each.data for each in tensors)])
        headers = {LENGTH: str(len(head)), "content-type": BINARY}
        kinds = {each.name: each.datatype for each in self.spec.outputs}

        async def ask(asking: _Asking, until: float) -> dict[str, Any]:
            path = f"{asking.path}/infer"
            answer = await asking.wire.ask("POST", path, body, headers, until=until)
            found = _read(answer.body, answer.headers.get(LENGTH, ""))
            if any(name not in found or found[name].datatype != kinds[name] for name in outputs):
                raise UnavailableError(
                    "the remote server answers with other outputs than it told of"
                )
            return {name: to_array(found[name]) for name in outputs}

        return self._first(ask)

    def _first(self, ask: "Callable[[_Asking, float], Awaitable[R]]") -> R:
        return self._thread.result(self._sources.first(ask, self._deadline_s))

    def _close(self) -> None:
        for each in self._sources:
            each.asks.wire.close()


@dataclass(frozen=True)
class _Asking:
    """How one server is asked: over its wire, at the model's path."""

    wire: Wire
    path: str


def _path(upstream: Upstream) -> str:
    version = f"/versions/{upstream.version}" if upstream.version else ""
    return f"/v2/models/{quote(upstream.model)}{version}"


async def _metadata(asking: _Asking, until: float) -> _Metadata:
    return read((await asking.wire.ask("GET", asking.path, until=until)).body, _Metadata)


def _described(tensor: Tensor) -> dict[str, Any]:
    return {
        "name": tensor.name,
        "datatype": tensor.datatype,
        "shape": tensor.shape,
        "parameters": {SIZE: len(tensor.data)},
    }


def _read(body: bytes, told: str) -> dict[str, Tensor]:
    """The outputs of an answer, whose binary tensors follow after so many bytes of JSON."""
    length = int(told) if told.isascii() and told.isdigit() else len(body)
    found = read(body[:length], _Outputs)
    at, tensors = length, {}
    try:
        for each in found.outputs:
            size = each.parameters.get(SIZE)
            if size is None:
                tensors[each.name] = _from_values(each)
                continue
            tensors[each.name] = Tensor(
                name=each.name, datatype=each.datatype, shape=each.shape, data=body[at : at + size]
            )
            to_array(tensors[each.name])
            at += size
    except (ValueError, TypeError):
        raise UnavailableError("the remote server answers with tensors that do not fit") from None
    return tensors


def _from_values(output: _Output) -> Tensor:
    """A tensor whose elements stand in the JSON, flat or in rows."""
    values = output.data if isinstance(output.data, list) else [output.data]
    while values and isinstance(values[0], list):
        values = list(chain.from_iterable(values))
    field = "strings" if output.datatype == "BYTES" else "values"
    more: dict[str, Any] = {field: values}
    return Tensor(name=output.name, datatype=output.datatype, shape=output.shape, **more)
