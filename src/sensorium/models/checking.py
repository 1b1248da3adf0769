"""Whether tensors fit a model, before anything waits or runs for them. Loads no numpy."""

from collections.abc import Sequence

from sensorium.core.errors import InvalidInputError
from sensorium.core.tensors import Tensor, TensorSpec
from sensorium.models.backends.base import ModelSpec


def check_inputs(spec: ModelSpec, inputs: Sequence[Tensor]) -> None:
    """Let tensors through that are what the model takes.

    Raises:
        InvalidInputError: one is missing, unknown, there twice, or has another datatype or shape.
    """
    given = {each.name: each for each in inputs}
    if len(given) != len(inputs):
        raise InvalidInputError("two inputs have the same name")
    for wanted in spec.inputs:
        tensor = given.pop(wanted.name, None)
        if tensor is not None:
            _check(wanted, tensor)
        elif wanted.name not in spec.optional:
            raise InvalidInputError(f"the input {wanted.name} is missing: {shown(wanted)}")
    if given:
        names = ", ".join(each.name for each in spec.inputs)
        raise InvalidInputError(f"there is no input {next(iter(given))[:80]!r}; there is {names}")


def chosen_outputs(spec: ModelSpec, wanted: Sequence[str]) -> list[str]:
    """The outputs that are wanted; all of them where none is named.

    Raises:
        InvalidInputError: the model has no such output.
    """
    names = [each.name for each in spec.outputs]
    for name in wanted:
        if name not in names:
            there = ", ".join(names)
            raise InvalidInputError(f"there is no output {name[:80]!r}; there is {there}")
    return list(dict.fromkeys(wanted)) or names


def shown(spec: TensorSpec) -> str:
    """A tensor's type in words: `FP32 [-1, 3]`."""
    return f"{spec.datatype} {spec.shape}"


def _check(wanted: TensorSpec, tensor: Tensor) -> None:
    fits = len(wanted.shape) == len(tensor.shape) and all(
        extent in (-1, given) for extent, given in zip(wanted.shape, tensor.shape, strict=True)
    )
    if tensor.datatype != wanted.datatype or not fits:
        raise InvalidInputError(
            f"the input {wanted.name} is {shown(wanted)}, not {tensor.datatype} {tensor.shape}"
        )
