"""What a TorchScript model takes and gives: as it is told, or as its code and a trial show."""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from msgspec import Struct

from sensorium.core.errors import InvalidInputError
from sensorium.core.tensors import TensorSpec
from sensorium.models.backends.torch_devices import DATATYPES
from sensorium.models.fitting import dtype_of

SIDECAR = "model.toml"
EXTENTS = ((8, 12), (32, 48), (224, 256))
"""What stands for extents that may vary, in trials: small ones first."""
ROWS = (2, 3)
UNKNOWN = (
    "what it takes cannot be told from its code: write a model.toml beside it, with the name, "
    "datatype and shape of each of its [[inputs]]"
)


class Told(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `model.toml` says. Inputs are in the order of `forward`'s arguments."""

    inputs: list[TensorSpec] = []
    outputs: list[TensorSpec] = []


def told(path: Path, inside: str) -> Told:
    """What stands in `NAME.toml` or `model.toml` beside a model, or else inside of it.

    Raises:
        InvalidInputError: it cannot be read.
    """
    places = [path.with_suffix(".toml"), path.with_name(SIDECAR)]
    text = next((each.read_text("utf-8") for each in places if each.is_file()), inside)
    try:
        return msgspec.convert(tomllib.loads(text), Told)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise InvalidInputError(f"its {SIDECAR} cannot be read: {error}") from None


def arguments(module: Any) -> list[tuple[str, bool]]:
    """The names of `forward`'s tensors, and whether each may be left out.

    Raises:
        InvalidInputError: it wants something that is no tensor.
    """
    found = []
    for each in module.forward.schema.arguments[1:]:
        kind = str(each.type)
        if kind in ("Tensor", "Optional[Tensor]"):
            found.append((each.name, each.has_default_value()))
        elif not each.has_default_value():
            raise InvalidInputError(f"it takes {each.name}, a {kind}; only tensors are served")
    return found


def guessed(module: Any, names: Sequence[str]) -> list[TensorSpec]:
    """Inputs as the first use of each in the code shows; else float32 in rows and columns."""
    values = {each.debugName().partition(".")[0]: each for each in module.inlined_graph.inputs()}
    return [_guess(module, name, values.get(name)) for name in names]


def tried(infer: Any, inputs: Sequence[TensorSpec], optional: Sequence[str]) -> list[TensorSpec]:
    """What the outputs are, in order, with the extents that vary: by trying.

    Raises:
        InvalidInputError: no trial works.
    """
    wanted = [each for each in inputs if each.name not in optional]
    for extents in EXTENTS:
        with suppress(InvalidInputError):
            first, second = (
                infer({each.name: _made(each, *sizes) for each in wanted})
                for sizes in zip(ROWS, extents, strict=True)
            )
            if first.keys() == second.keys():
                return [_merged(name, first[name], second[name]) for name in first]
    raise InvalidInputError(UNKNOWN)


def flattened(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """The tensors in what a model returns, with names: keys, fields, or places in a row."""
    if value is None:
        return
    if isinstance(value, Mapping):
        for key, each in value.items():
            yield from flattened(each, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list | tuple):
        fields = getattr(value, "_fields", None)
        for number, each in enumerate(value):
            key = fields[number] if fields else str(number) if name else f"output_{number}"
            yield from flattened(each, f"{name}.{key}" if name else key)
    else:
        yield name or "output", value


def _guess(module: Any, name: str, value: Any) -> TensorSpec:
    for use in value.uses() if value is not None else ():
        found = _from_use(module, use.user, use.offset)
        if found is not None:
            dtype, shape = found
            datatype = DATATYPES.get(dtype, "FP32")
            return TensorSpec(name=name, datatype=datatype, shape=shape)
    return TensorSpec(name=name, datatype="FP32", shape=[-1, -1])


def _from_use(module: Any, node: Any, offset: int) -> tuple[torch.dtype, list[int]] | None:
    """The type and shape that a node wants at one of its places, by the weight beside it."""
    kind = node.kind()
    if kind == "aten::embedding" and offset == 1:
        return torch.int64, [-1, -1]
    inputs = list(node.inputs())
    if offset != 0 or len(inputs) < 2:
        return None
    weight = _weight(module, inputs[1])
    if weight is None or weight.ndim < 2:
        return None
    if kind == "aten::linear":
        return weight.dtype, [-1, weight.shape[1]]
    if kind in ("aten::matmul", "aten::mm"):
        return weight.dtype, [-1, weight.shape[0]]
    if kind.startswith(("aten::conv1d", "aten::conv2d", "aten::conv3d", "aten::_convolution")):
        groups = inputs[6 if kind != "aten::_convolution" else 8].toIValue()
        channels = weight.shape[1] * (groups if isinstance(groups, int) else 1)
        return weight.dtype, [-1, channels, *[-1] * (weight.ndim - 2)]
    return None


def _weight(module: Any, value: Any) -> Any:
    """The parameter that a value of the graph is, followed through the modules that hold it."""
    path: list[str] = []
    while value.node().kind() == "prim::GetAttr":
        path.append(value.node().s("name"))
        value = next(iter(value.node().inputs()))
    found = module
    for name in reversed(path):
        found = getattr(found, name, None)
    return found if path and isinstance(found, torch.Tensor) else None


def _made(spec: TensorSpec, rows: int, extent: int) -> Any:
    shape = [extent if each == -1 else each for each in spec.shape]
    if spec.shape[:1] == [-1]:
        shape[0] = rows
    return np.zeros(shape, dtype=dtype_of(spec.datatype))


def _merged(name: str, first: torch.Tensor, second: torch.Tensor) -> TensorSpec:
    datatype = DATATYPES.get(first.dtype)
    if datatype is None or first.ndim != second.ndim:
        raise InvalidInputError(f"its output {name} is not always the same kind of tensor")
    shape = [a if a == b else -1 for a, b in zip(first.shape, second.shape, strict=True)]
    return TensorSpec(name=name, datatype=datatype, shape=shape)
