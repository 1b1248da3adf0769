"""TorchScript archives and exported programs (`torch.export`) through torch."""

import gc
import logging
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import msgspec
import torch
from torch.export.passes import move_to_device_pass
from torch.utils import _pytree as pytree

from sensorium.core.errors import InvalidInputError, UnavailableError
from sensorium.core.tensors import TensorSpec
from sensorium.models.artifact import Artifact
from sensorium.models.backends.base import Arrays, LoadOptions, ModelSpec
from sensorium.models.backends.torch_archives import kind_of, vetted
from sensorium.models.backends.torch_devices import DATATYPES, device_of, to_numpy, to_torch
from sensorium.models.backends.torch_specs import (
    Told,
    arguments,
    flattened,
    guessed,
    told,
    tried,
)
from sensorium.models.fitting import check_arrays, check_outputs

Tensors: TypeAlias = dict[str, torch.Tensor]
Call: TypeAlias = Callable[[Tensors], Any]
logging.getLogger("torch.export").setLevel(logging.ERROR)
logging.getLogger("torch._export").setLevel(logging.ERROR)


class TorchModel:
    """A module of torch whose inputs and outputs have names."""

    def __init__(
        self,
        call: Call,
        device: torch.device,
        inputs: Sequence[TensorSpec],
        optional: Sequence[str] = (),
    ) -> None:
        self._call: Call | None = call
        self._device = device
        self._names: dict[str, str] = {}
        self.spec = ModelSpec(
            platform="",
            inputs=list(inputs),
            outputs=[],
            optional=list(optional),
        )

    def described(
        self, platform: str, outputs: Sequence[TensorSpec], names: Sequence[str]
    ) -> "TorchModel":
        """The model with its outputs, each under the name that the module gives to it."""
        self._names = dict(zip((each.name for each in outputs), names, strict=True))
        self.spec = msgspec.structs.replace(self.spec, platform=platform, outputs=list(outputs))
        return self

    def infer(self, inputs: Arrays, outputs: Sequence[str]) -> Mapping[str, Any]:
        """See `LoadedModel.infer`."""
        check_outputs(self.spec.outputs, outputs)
        found = self.compute(inputs)
        return {name: to_numpy(found[self._names[name]]) for name in outputs}

    def compute(self, inputs: Arrays) -> Tensors:
        """All that the module returns; errors as for `infer`."""
        call = self._call
        if call is None:
            raise UnavailableError("the model was unloaded; try again", retry_after_s=0.1)
        check_arrays(self.spec.inputs, inputs, self.spec.optional)
        datatypes = {each.name: each.datatype for each in self.spec.inputs}
        try:
            tensors = {
                name: to_torch(array, datatypes[name], self._device)
                for name, array in inputs.items()
            }
            with torch.inference_mode():
                found = dict(flattened(call(tensors)))
        except torch.OutOfMemoryError:
            raise UnavailableError("the device has too little memory for this") from None
        except Exception as error:
            raise InvalidInputError(f"the model cannot run this: {reason(error)}") from None
        return {name: torch.as_tensor(each) for name, each in found.items()}

    def interrupt(self) -> None:
        """Nothing: torch runs to its end."""

    def close(self) -> None:
        """See `LoadedModel.close`."""
        if self._call is not None:
            self._call = None
            gc.collect()
            if self._device.type == "cuda":
                torch.cuda.empty_cache()


class TorchBackend:
    """See `base.Backend`."""

    def load(self, artifact: Artifact, options: LoadOptions) -> TorchModel:
        """See `base.Backend.load`."""
        device, name, degraded = device_of(options)
        kind, inside = kind_of(artifact.path, trusted=options.trusted)
        notes = told(artifact.path, inside)
        torch.set_num_threads(options.threads or 1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # TorchScript is deprecated, and says so each time
            if kind == "script":
                model = _scripted(artifact.path, device, notes)
            else:
                model = _exported(artifact.path, device, notes)
        model.spec = msgspec.structs.replace(model.spec, providers=[name], degraded=degraded)
        return model


BACKEND = TorchBackend()


def reason(error: Exception) -> str:
    """What torch said, without its traceback, paths and source."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    said = [line for line in lines if line.startswith("RuntimeError: ")] or lines[:1]
    text = said[-1].removeprefix("RuntimeError: ") if said else type(error).__name__
    return " ".join(word for word in text.split() if "/" not in word)[:300]


def _scripted(path: Path, device: torch.device, notes: Told) -> TorchModel:
    try:
        module = torch.jit.load(str(path), map_location=device).eval()
        takes = dict(arguments(module))
    except InvalidInputError:
        raise
    except Exception as error:
        raise InvalidInputError(f"torch cannot load it: {reason(error)}") from None
    inputs = notes.inputs or guessed(module, [name for name in takes if not takes[name]])
    known = {each.name for each in inputs}
    missing = [name for name, optional in takes.items() if not optional and name not in known]
    if missing or not known <= takes.keys():
        raise InvalidInputError(f"model.toml has other inputs than forward: {', '.join(takes)}")
    optional = [each.name for each in inputs if takes[each.name]]
    model = TorchModel(lambda tensors: module(**tensors), device, inputs, optional)
    outputs = tried(model.compute, inputs, optional)
    names = [each.name for each in outputs]
    return model.described("pytorch_torchscript", _renamed(outputs, notes), names)


def _exported(path: Path, device: torch.device, notes: Told) -> TorchModel:
    content = vetted(path)
    try:
        program = torch.export.load(content)
        if device.type != "cpu":
            program = move_to_device_pass(program, device)
        module: Any = program.module(check_guards=False)
    except Exception as error:
        raise InvalidInputError(f"torch cannot load it: {reason(error)}") from None
    values = {node.name: node.meta.get("val") for node in program.graph.nodes}
    takes = program.graph_signature.user_inputs

    def call(tensors: Tensors) -> Any:
        flat = [tensors[each] if isinstance(each, str) else each for each in takes]
        positional, named = pytree.tree_unflatten(flat, program.call_spec.in_spec)
        return module(*positional, **named)

    inputs = [_fixed(each, values.get(each)) for each in takes if isinstance(each, str)]
    gives = program.graph_signature.user_outputs
    placed = pytree.tree_unflatten(range(len(gives)), program.call_spec.out_spec)
    named = {
        name: gives[number] for name, number in flattened(placed) if isinstance(gives[number], str)
    }
    outputs = [_fixed(name, values.get(node)) for name, node in named.items()]
    model = TorchModel(call, device, inputs)
    return model.described("pytorch_export", _renamed(outputs, notes), list(named))


def _fixed(name: str, value: Any) -> TensorSpec:
    """An input or output of an exported program, whose shapes are known but for symbols."""
    if not isinstance(value, torch.Tensor) or value.dtype not in DATATYPES:
        raise InvalidInputError(f"{name} is no tensor of numbers, and only those are served")
    shape = [each if isinstance(each, int) else -1 for each in value.shape]
    return TensorSpec(name=name, datatype=DATATYPES[value.dtype], shape=shape)


def _renamed(outputs: Sequence[TensorSpec], notes: Told) -> list[TensorSpec]:
    """The outputs under the names that model.toml has for them."""
    if not notes.outputs:
        return list(outputs)
    if len(notes.outputs) != len(outputs):
        raise InvalidInputError(f"model.toml has other outputs than the model's {len(outputs)}")
    return [
        msgspec.structs.replace(each, name=named.name)
        for each, named in zip(outputs, notes.outputs, strict=True)
    ]
