"""Whether tensors fit a model, before anything waits or runs for them. Loads no numpy."""

from collections.abc import Collection, Sequence

from sensorium.core.errors import InvalidInputError
from sensorium.core.tensors import Tensor, TensorSpec


def check_inputs(
    specs: Sequence[TensorSpec], inputs: Sequence[Tensor], optional: Collection[str] = ()
) -> None:
    """Let tensors through that are what the model takes.

    Raises:
        InvalidInputError: one is missing, unknown, there twice, or has another datatype or shape.
    """
    given = {each.name: each for each in inputs}
    if len(given) != len(inputs):
        raise InvalidInputError("two inputs have the same name")
    check_names(specs, given, optional)
    for wanted in specs:
        tensor = given.get(wanted.name)
        if tensor is None:
            continue
        if tensor.datatype != wanted.datatype or not has_shape(wanted, tensor.shape):
            raise InvalidInputError(
                f"the input {wanted.name} is {shown(wanted)}, not {tensor.datatype} {tensor.shape}"
            )


def check_names(
    specs: Sequence[TensorSpec], given: Collection[str], optional: Collection[str]
) -> None:
    """Let names of inputs through that are those of the model.

    Raises:
        InvalidInputError: one is missing or unknown.
    """
    known = {each.name for each in specs}
    for each in specs:
        if each.name not in given and each.name not in optional:
            raise InvalidInputError(f"the input {each.name} is missing: {shown(each)}")
    for name in given:
        if name not in known:
            raise InvalidInputError(f"there is no input {name[:80]!r}; {_there(specs)}")


def check_outputs(specs: Sequence[TensorSpec], wanted: Sequence[str]) -> None:
    """Let names through that are outputs.

    Raises:
        InvalidInputError: one is not.
    """
    known = [each.name for each in specs]
    for name in wanted:
        if name not in known:
            raise InvalidInputError(f"there is no output {name[:80]!r}; {_there(specs)}")


def chosen_outputs(specs: Sequence[TensorSpec], wanted: Sequence[str]) -> list[str]:
    """The outputs that are wanted; all of them where none is named.

    Raises:
        InvalidInputError: there is no such output.
    """
    check_outputs(specs, wanted)
    return list(dict.fromkeys(wanted)) or [each.name for each in specs]


def has_shape(spec: TensorSpec, shape: Sequence[int]) -> bool:
    """Whether a shape is what a spec says, in which -1 is any extent."""
    return len(spec.shape) == len(shape) and all(
        extent in (-1, given) for extent, given in zip(spec.shape, shape, strict=True)
    )


def shown(spec: TensorSpec) -> str:
    """A tensor's type in words: `FP32 [-1, 3]`."""
    return f"{spec.datatype} {spec.shape}"


def _there(specs: Sequence[TensorSpec]) -> str:
    return f"there is {', '.join(each.name for each in specs)}"
