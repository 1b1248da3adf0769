"""TFLite models through LiteRT."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from sensorium.core.arrays import DATATYPES
from sensorium.core.errors import InvalidInputError, UnavailableError
from sensorium.core.tensors import TensorSpec
from sensorium.models.artifact import Artifact
from sensorium.models.backends.base import Arrays, LoadedModel, LoadOptions, ModelSpec
from sensorium.models.backends.parts import PartedModel
from sensorium.models.fitting import check_arrays, check_outputs
from sensorium.models.hardware.choosing import choose, confirmed
from sensorium.models.hardware.detect import available

CPU = "CPU"
"""The library's name of all that its interpreter can compute on, from Python."""
IDENTIFIER = b"TFL3"
"""Stands at byte 4 of every file."""
TRIALS = (2, 3)
"""What stands for extents that may vary, to see which extents of the outputs vary with them."""
Details = dict[str, Any]


class Runner(Protocol):
    """What the library makes of one of a file's signatures."""

    def __call__(self, **inputs: Any) -> dict[str, Any]:
        """Run it; inputs of another shape than before are made room for."""

    def get_input_details(self) -> dict[str, Details]:
        """Type, shape and quantisation of each input."""

    def get_output_details(self) -> dict[str, Details]:
        """The same of each output."""


class LiteRTModel:
    """One signature of a file. It holds the tensors of its last run: one thread at a time."""

    def __init__(self, runner: Runner, degraded: str) -> None:
        self._runner: Runner | None = runner
        inputs = [_spec(name, each) for name, each in runner.get_input_details().items()]
        self.spec = ModelSpec(
            platform="litert_tflite",
            inputs=inputs,
            outputs=_outputs(runner, inputs),
            providers=["cpu"],
            degraded=degraded,
        )

    def infer(self, inputs: Arrays, outputs: Sequence[str]) -> Mapping[str, Any]:
        """See `LoadedModel.infer`."""
        if self._runner is None:
            raise UnavailableError("the model was unloaded; try again", retry_after_s=0.1)
        check_arrays(self.spec.inputs, inputs)
        check_outputs(self.spec.outputs, outputs)
        try:
            found = self._runner(**inputs)
        except (RuntimeError, ValueError) as error:
            raise InvalidInputError(f"the model cannot run this: {_reason(error)}") from None
        return {name: found[name] for name in outputs}

    def interrupt(self) -> None:
        """Nothing: LiteRT cannot be interrupted from Python."""

    def close(self) -> None:
        """See `LoadedModel.close`."""
        self._runner = None


class LiteRTBackend:
    """See `base.Backend`."""

    def load(self, artifact: Artifact, options: LoadOptions) -> LoadedModel:
        """See `base.Backend.load`."""
        return load_tflite(artifact.path, options)


BACKEND = LiteRTBackend()


def load_tflite(source: Path | bytes, options: LoadOptions) -> LoadedModel:
    """A model from a file or its content; errors as for `base.Backend.load`."""
    chosen = choose(options.providers, available("litert"), fallback=options.fallback)
    chosen = confirmed(chosen, [CPU], fallback=options.fallback)
    try:
        interpreter = _interpreter(source, options.threads or 1)
        interpreter.allocate_tensors()  # tells of operators that are not there
        signatures = interpreter.get_signature_list()
        runners = {name: interpreter.get_signature_runner(name) for name in signatures}
        runners = runners or {"": _Unsigned(interpreter)}
    except (RuntimeError, ValueError) as error:
        raise InvalidInputError(f"LiteRT cannot load it: {_reason(error)}") from None
    parts = {name: LiteRTModel(runner, chosen.degraded) for name, runner in sorted(runners.items())}
    return next(iter(parts.values())) if len(parts) == 1 else PartedModel("litert_tflite", parts)


class _Unsigned:
    """A runner of a file without signatures: its tensors' own names stand for theirs."""

    def __init__(self, interpreter: Interpreter) -> None:
        self._interpreter = interpreter
        self._inputs = _by_name(interpreter.get_input_details())
        self._outputs = _by_name(interpreter.get_output_details())
        self._shapes = {name: tuple(each["shape"]) for name, each in self._inputs.items()}

    def __call__(self, **inputs: Any) -> dict[str, Any]:
        shapes = {name: array.shape for name, array in inputs.items()}
        if shapes != self._shapes:
            for name, shape in shapes.items():
                self._interpreter.resize_tensor_input(self._inputs[name]["index"], shape)
            self._interpreter.allocate_tensors()
            self._shapes = shapes
        for name, array in inputs.items():
            self._interpreter.set_tensor(self._inputs[name]["index"], array)
        self._interpreter.invoke()
        return {
            name: self._interpreter.get_tensor(each["index"])
            for name, each in self._outputs.items()
        }

    def get_input_details(self) -> dict[str, Details]:
        """See `Runner.get_input_details`."""
        return self._inputs

    def get_output_details(self) -> dict[str, Details]:
        """See `Runner.get_output_details`."""
        return self._outputs


def _interpreter(source: Path | bytes, threads: int) -> Interpreter:
    if isinstance(source, bytes):
        return Interpreter(model_content=source, num_threads=threads)
    with source.open("rb") as file:  # a missing file would be told with its path
        if file.read(8)[4:] != IDENTIFIER:
            raise ValueError("it is no TFLite file")
    return Interpreter(model_path=str(source), num_threads=threads)


def _spec(name: str, details: Details) -> TensorSpec:
    """An input or output in the protocol's terms; of quantised ones the raw integers.

    Raises:
        InvalidInputError: the protocol has no such elements.
    """
    datatype = DATATYPES.get(np.dtype(details["dtype"]))
    if datatype is None:
        kind = np.dtype(details["dtype"]).name
        raise InvalidInputError(f"{name} is of {kind}, and only numbers and booleans are served")
    shape = [int(each) for each in details["shape_signature"]]
    return TensorSpec(name=name, datatype=datatype, shape=shape)  # type: ignore[arg-type]


def _outputs(runner: Runner, inputs: Sequence[TensorSpec]) -> list[TensorSpec]:
    """What the outputs are; which extents vary is tried, as files do not always say so."""
    specs = [_spec(name, each) for name, each in runner.get_output_details().items()]
    if all(-1 not in each.shape for each in inputs):
        return specs
    dtypes = {name: each["dtype"] for name, each in runner.get_input_details().items()}
    shapes: list[dict[str, tuple[int, ...]]] = []
    with suppress(RuntimeError, ValueError):
        for trial in TRIALS:
            arrays = {
                each.name: np.zeros([abs(n) * (trial if n < 0 else 1) for n in each.shape])
                for each in inputs
            }
            found = runner(**{name: arrays[name].astype(dtypes[name]) for name in arrays})
            shapes.append({name: array.shape for name, array in found.items()})
    if len(shapes) < len(TRIALS):
        return specs
    return [_varying(each, [shape[each.name] for shape in shapes]) for each in specs]


def _varying(spec: TensorSpec, shapes: Sequence[tuple[int, ...]]) -> TensorSpec:
    if len({len(shape) for shape in shapes}) > 1:
        return spec
    declared = spec.shape if len(spec.shape) == len(shapes[0]) else list(shapes[0])
    shape = [
        -1 if len(set(extents)) > 1 or said == -1 else extents[0]
        for said, extents in zip(declared, zip(*shapes, strict=True), strict=True)
    ]
    return TensorSpec(name=spec.name, datatype=spec.datatype, shape=shape)


def _by_name(details: Sequence[Details]) -> dict[str, Details]:
    names = [each["name"] or f"tensor_{each['index']}" for each in details]
    return {
        name if names.count(name) == 1 else f"{name}_{each['index']}": each
        for name, each in zip(names, details, strict=True)
    }


def _reason(error: Exception) -> str:
    """What the library said, without addresses, paths and source lines."""
    text = " ".join(line for line in str(error).splitlines() if "://" not in line)
    return " ".join(word for word in text.split() if "/" not in word)[:300]
