"""Whether arrays fit what a model takes: asked before native code sees them."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from sensorium.core.arrays import DTYPES
from sensorium.core.errors import InvalidInputError
from sensorium.core.tensors import TensorSpec


def check_arrays(
    specs: Sequence[TensorSpec], arrays: Mapping[str, Any], optional: Collection[str] = ()
) -> None:
    """Let arrays through that a model takes.

    Raises:
        InvalidInputError: one is missing or unknown, or has other elements or another shape.
    """
    known = {each.name: each for each in specs}
    for name in arrays:
        if name not in known:
            raise InvalidInputError(f"there is no input {name[:80]!r}; there is {', '.join(known)}")
    for name, spec in known.items():
        if name in arrays:
            _check(spec, arrays[name])
        elif name not in optional:
            raise InvalidInputError(f"the input {name} is missing")


def check_outputs(specs: Sequence[TensorSpec], wanted: Sequence[str]) -> None:
    """Let names through that are outputs.

    Raises:
        InvalidInputError: one is not.
    """
    known = [each.name for each in specs]
    for name in wanted:
        if name not in known:
            there = ", ".join(known)
            raise InvalidInputError(f"there is no output {name[:80]!r}; there is {there}")


def dtype_of(datatype: str) -> Any:
    """What arrays of a datatype are in numpy: `BF16` as uint16, `BYTES` as objects."""
    if datatype in ("BF16", "BYTES"):
        return np.dtype(np.uint16 if datatype == "BF16" else object)
    return np.dtype(DTYPES[datatype])


def _check(spec: TensorSpec, array: Any) -> None:
    fits = len(array.shape) == len(spec.shape) and all(
        extent in (-1, given) for extent, given in zip(spec.shape, array.shape, strict=True)
    )
    if array.dtype != dtype_of(spec.datatype) or not fits:
        raise InvalidInputError(
            f"the input {spec.name} is {spec.datatype} {spec.shape}, "
            f"not {array.dtype} {list(array.shape)}"
        )
