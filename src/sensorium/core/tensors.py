"""Tensors as they travel: a datatype of the Open Inference Protocol, a shape, and raw bytes.

No numpy here: a server that never computes with tensors does not load it. `core.arrays` turns
them into arrays and back.
"""

import struct
from array import array
from collections.abc import Sequence
from math import isfinite, prod
from typing import Annotated, Literal

from msgspec import Meta, Struct
from msgspec.structs import force_setattr

Datatype = Literal[
    "BOOL",
    "UINT8",
    "UINT16",
    "UINT32",
    "UINT64",
    "INT8",
    "INT16",
    "INT32",
    "INT64",
    "FP16",
    "BF16",
    "FP32",
    "FP64",
    "BYTES",
]
TYPECODES = {
    "BOOL": "B",
    "UINT8": "B",
    "UINT16": "H",
    "UINT32": "I",
    "UINT64": "Q",
    "INT8": "b",
    "INT16": "h",
    "INT32": "i",
    "INT64": "q",
    "FP32": "f",
    "FP64": "d",
}
"""What `array` calls the datatypes that it has."""
ITEM_SIZES = {
    **{datatype: array(code).itemsize for datatype, code in TYPECODES.items()},
    "FP16": 2,
    "BF16": 2,
}
"""Bytes of an element; one of `BYTES` has no fixed size."""
FLOATS = ("FP16", "BF16", "FP32", "FP64")
MAX_ELEMENTS = 1 << 40
EXACT = 1 << 53
"""From here on a double does not hold every integer."""
LENGTH = struct.Struct("<I")

Extent = Annotated[int, Meta(ge=0, le=2**31 - 1)]
Shape = Annotated[list[Extent], Meta(max_length=16, description="Its extents; [] for one value.")]


class Tensor(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An array of numbers, booleans or byte strings, row by row.

    Its elements are given in one of three ways: `data` holds them raw (little-endian, without
    gaps; of `BYTES`, each after its length as a uint32), `values` as numbers (0 and 1 for
    `BOOL`), `strings` as text for `BYTES`. The latter two are turned into `data` at once.

    Raises:
        ValueError: the elements do not fit the shape or the datatype.
    """

    name: Annotated[str, Meta(max_length=256, description="Which of a model's it is.")] = ""
    datatype: Annotated[Datatype, Meta(description="What its elements are.")]
    shape: Shape
    data: Annotated[bytes, Meta(description="The elements, raw.")] = b""
    values: Annotated[list[float], Meta(description="The elements, as numbers.")] = []
    strings: Annotated[list[str], Meta(description="The elements of BYTES, as text.")] = []

    def __post_init__(self) -> None:
        if bool(self.values) + bool(self.strings) + bool(self.data) > 1:
            raise ValueError("a tensor has data, values or strings, and only one of them")
        if self.values:
            force_setattr(self, "data", pack_numbers(self.datatype, self.values))
            force_setattr(self, "values", [])
        elif self.strings:
            if self.datatype != "BYTES":
                raise ValueError(f"strings are for BYTES, not {self.datatype}")
            force_setattr(self, "data", pack_bytes([text.encode() for text in self.strings]))
            force_setattr(self, "strings", [])
        check_size(self.datatype, self.shape, len(self.data))

    @property
    def elements(self) -> int:
        """How many elements it has."""
        return prod(self.shape)


class TensorSpec(Struct, frozen=True, kw_only=True):
    """What a model takes or gives under one name."""

    name: Annotated[str, Meta(description="Its name.")]
    datatype: Annotated[Datatype, Meta(description="What its elements are.")]
    shape: Annotated[
        list[Annotated[int, Meta(ge=-1, le=2**31 - 1)]],
        Meta(description="Its extents; -1 for one that may vary."),
    ]


def check_size(datatype: str, shape: Sequence[int], size: int) -> None:
    """Whether so many bytes are a tensor of that shape; allocates nothing.

    Raises:
        ValueError: they are not, or no machine could hold it.
    """
    elements = prod(shape)
    if elements > MAX_ELEMENTS:
        raise ValueError(f"a tensor has at most {MAX_ELEMENTS} elements, not {elements}")
    if datatype == "BYTES":
        if size < LENGTH.size * elements:
            raise ValueError(f"{elements} byte strings need more than {size} bytes")
    elif size != elements * ITEM_SIZES[datatype]:
        raise ValueError(
            f"a {datatype} tensor of shape {list(shape)} has {elements * ITEM_SIZES[datatype]} "
            f"bytes, not {size}"
        )


def pack_numbers(datatype: str, values: Sequence[float]) -> bytes:
    """Numbers as raw elements.

    Raises:
        ValueError: one of them is none of that datatype.
    """
    try:
        if datatype in ("FP32", "FP64"):
            return array(TYPECODES[datatype], values).tobytes()
        if datatype == "FP16":
            return struct.pack(f"<{len(values)}e", *values)
        if datatype == "BF16":
            return _pack_bf16(values)
        if datatype == "BYTES":
            raise ValueError("the elements of BYTES are strings or data, not values")
        return _pack_integers(datatype, values)
    except (OverflowError, TypeError, struct.error):
        raise ValueError(f"a value is none of {datatype}") from None


def unpack_numbers(datatype: str, data: bytes | memoryview) -> list[int | float | None]:
    """Raw elements as numbers; None for what is none (NaN) or not finite."""
    found: Sequence[float]
    if datatype == "FP16":
        found = struct.unpack(f"<{len(data) // 2}e", data)
    elif datatype == "BF16":
        upper = array("H", bytes(data))
        found = array("f", array("I", (each << 16 for each in upper)).tobytes())
    else:
        found = array(TYPECODES[datatype], bytes(data))
    if datatype in FLOATS:
        return [each if isfinite(each) else None for each in found]
    return list(found)


def pack_bytes(items: Sequence[bytes]) -> bytes:
    """Byte strings as the raw elements of `BYTES`."""
    return b"".join(part for item in items for part in (LENGTH.pack(len(item)), item))


def unpack_bytes(data: bytes | memoryview, elements: int) -> list[bytes]:
    """The byte strings that the raw elements of `BYTES` hold.

    Raises:
        ValueError: there are not so many, or one goes beyond the end.
    """
    found: list[bytes] = []
    at = 0
    while at < len(data) and len(found) < elements:
        if at + LENGTH.size > len(data):
            break
        (length,) = LENGTH.unpack_from(data, at)
        at += LENGTH.size
        if length > len(data) - at:
            raise ValueError("a byte string goes beyond the end of the tensor")
        found.append(bytes(data[at : at + length]))
        at += length
    if at != len(data) or len(found) != elements:
        raise ValueError(f"the tensor does not hold {elements} byte strings")
    return found


def _pack_integers(datatype: str, values: Sequence[float]) -> bytes:
    if any(value != int(value) for value in values):
        raise ValueError(f"a value is none of {datatype}: it is no whole number")
    wide = datatype in ("INT64", "UINT64")
    if wide and any(isinstance(value, float) and abs(value) > EXACT for value in values):
        raise ValueError(f"give {datatype} beyond 2**53 as data: values would not hold it")
    if datatype == "BOOL" and any(value not in (0, 1) for value in values):
        raise ValueError("the values of BOOL are 0 and 1")
    return array(TYPECODES[datatype], map(int, values)).tobytes()


def _pack_bf16(values: Sequence[float]) -> bytes:
    """The upper half of each float32, rounded to the nearest even."""
    bits = array("I", array("f", values).tobytes())
    return array("H", (_upper_half(each) for each in bits)).tobytes()


def _upper_half(bits: int) -> int:
    if bits & 0x7FFFFFFF > 0x7F800000:  # not a number, and to stay so
        return bits >> 16 | 0x40
    return bits + 0x7FFF + (bits >> 16 & 1) >> 16
