"""Tensors as numpy's arrays, and back. Loads numpy; only what computes imports it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensorium.core.tensors import Tensor, pack_bytes, unpack_bytes

DTYPES: dict[str, Any] = {
    "BOOL": np.bool_,
    "UINT8": np.uint8,
    "UINT16": np.uint16,
    "UINT32": np.uint32,
    "UINT64": np.uint64,
    "INT8": np.int8,
    "INT16": np.int16,
    "INT32": np.int32,
    "INT64": np.int64,
    "FP16": np.float16,
    "FP32": np.float32,
    "FP64": np.float64,
}
"""numpy has no bfloat16: its bits are held as uint16, and `BYTES` as objects."""
DATATYPES = {np.dtype(dtype): datatype for datatype, dtype in DTYPES.items()}


def to_array(tensor: Tensor) -> NDArray[Any]:
    """The array that a tensor holds; it shares the tensor's memory and is read-only.

    `BF16` comes as uint16 and `BYTES` as an array of bytes objects, which copies.

    Raises:
        ValueError: the byte strings of `BYTES` do not fit its shape.
    """
    if tensor.datatype == "BYTES":
        found = np.empty(tensor.elements, dtype=object)
        found[:] = unpack_bytes(tensor.data, tensor.elements)
        return found.reshape(tensor.shape)
    dtype = np.uint16 if tensor.datatype == "BF16" else DTYPES[tensor.datatype]
    return np.frombuffer(tensor.data, dtype=dtype).reshape(tensor.shape)


def to_tensor(name: str, array: NDArray[Any], datatype: str = "") -> Tensor:
    """An array as a tensor, sharing its memory where that is contiguous.

    `datatype` tells what numpy cannot: `BF16` of uint16. Strings, objects of str and of bytes
    become `BYTES`.

    Raises:
        ValueError: the protocol has no such elements.
    """
    shape = list(array.shape)
    if array.dtype.kind in "OSU":
        items = [each.encode() if isinstance(each, str) else bytes(each) for each in array.flat]
        return Tensor(name=name, datatype="BYTES", shape=shape, data=pack_bytes(items))
    chosen = datatype or DATATYPES.get(array.dtype)
    if chosen is None:
        raise ValueError(f"there are no tensors of {array.dtype}")
    flat = np.ascontiguousarray(array).reshape(-1).view(np.uint8).data
    return Tensor(name=name, datatype=chosen, shape=shape, data=flat)  # type: ignore[arg-type]


def bf16_to_float32(bits: NDArray[np.uint16]) -> NDArray[np.float32]:
    """The float32 of each bfloat16."""
    return (bits.astype(np.uint32) << 16).view(np.float32)


def float32_to_bf16(array: NDArray[np.float32]) -> NDArray[np.uint16]:
    """The nearest bfloat16 of each float32, halves to even."""
    bits = np.ascontiguousarray(array).view(np.uint32)
    rounded = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16
    return np.where(np.isnan(array), bits >> 16 | 0x40, rounded).astype(np.uint16)
