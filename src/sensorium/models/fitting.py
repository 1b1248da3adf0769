"""Whether arrays fit what a model takes: asked before native code sees them."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from sensorium.core.arrays import DTYPES
from sensorium.core.errors import InvalidInputError
from sensorium.core.tensors import TensorSpec
from sensorium.models.checking import check_names, has_shape, shown
from sensorium.models.checking import check_outputs as check_outputs


def check_arrays(
    specs: Sequence[TensorSpec], arrays: Mapping[str, Any], optional: Collection[str] = ()
) -> None:
    """Let arrays through that a model takes.

    Raises:
        InvalidInputError: one is missing or unknown, or has other elements or another shape.
    """
    check_names(specs, arrays, optional)
    for spec in specs:
        array = arrays.get(spec.name)
        if array is None:
            continue
        if array.dtype != dtype_of(spec.datatype) or not has_shape(spec, array.shape):
            raise InvalidInputError(
                f"the input {spec.name} is {shown(spec)}, not {array.dtype} {list(array.shape)}"
            )


def dtype_of(datatype: str) -> Any:
    """What arrays of a datatype are in numpy: `BF16` as uint16, `BYTES` as objects."""
    if datatype in ("BF16", "BYTES"):
        return np.dtype(np.uint16 if datatype == "BF16" else object)
    return np.dtype(DTYPES[datatype])
