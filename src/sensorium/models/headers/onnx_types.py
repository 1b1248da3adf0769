"""What ONNX models take and give: the types of their inputs and outputs."""

from dataclasses import dataclass
from typing import NamedTuple

from sensorium.core.errors import InvalidInputError
from sensorium.core.tensors import Datatype, TensorSpec
from sensorium.models.headers.header import MAX_NAME, decoded
from sensorium.models.headers.wire import BYTES, VARINT, Field, Wire, expect

MAX_NESTED = 8
MAX_RANK = 64
MAX_EXTENT = 2**31 - 1


class ElementType(NamedTuple):
    """A type of elements: ONNX's name, bits of one, the name in the protocol if it has one."""

    name: str
    bits: int
    datatype: Datatype | None = None


ELEMENTS = {
    1: ElementType("float", 32, "FP32"),
    2: ElementType("uint8", 8, "UINT8"),
    3: ElementType("int8", 8, "INT8"),
    4: ElementType("uint16", 16, "UINT16"),
    5: ElementType("int16", 16, "INT16"),
    6: ElementType("int32", 32, "INT32"),
    7: ElementType("int64", 64, "INT64"),
    8: ElementType("string", 0, "BYTES"),
    9: ElementType("bool", 8, "BOOL"),
    10: ElementType("float16", 16, "FP16"),
    11: ElementType("double", 64, "FP64"),
    12: ElementType("uint32", 32, "UINT32"),
    13: ElementType("uint64", 64, "UINT64"),
    14: ElementType("complex64", 64),
    15: ElementType("complex128", 128),
    16: ElementType("bfloat16", 16, "BF16"),
    17: ElementType("float8e4m3fn", 8),
    18: ElementType("float8e4m3fnuz", 8),
    19: ElementType("float8e5m2", 8),
    20: ElementType("float8e5m2fnuz", 8),
    21: ElementType("uint4", 4),
    22: ElementType("int4", 4),
    23: ElementType("float4e2m1", 4),
    24: ElementType("float8e8m0", 8),
    25: ElementType("uint2", 2),
    26: ElementType("int2", 2),
}


@dataclass(frozen=True, slots=True)
class Port:
    """An input or an output."""

    name: str
    kind: str
    """Its type as ONNX Runtime writes it: `tensor(float)`, `seq(map(int64,tensor(float)))`."""
    datatype: Datatype | None = None
    shape: tuple[int, ...] | None = None

    @property
    def unshaped(self) -> bool:
        """Whether it is a tensor of whose shape not even the rank is told."""
        return self.datatype is not None and self.shape is None

    def spec(self) -> TensorSpec | None:
        """As a tensor; None where it is none, or of elements that the protocol has no name for."""
        if self.datatype is None:
            return None
        return TensorSpec(name=self.name, datatype=self.datatype, shape=list(self.shape or ()))


class _Type(NamedTuple):
    kind: str
    datatype: Datatype | None = None
    shape: tuple[int, ...] | None = None


def read_port(wire: Wire, message: Field) -> Port:
    """An input or an output of a graph.

    Raises:
        InvalidInputError: it is malformed.
    """
    expect(message, BYTES, "an input or output")
    name, told = "", _Type("untyped")
    for each in wire.fields(message.value, message.end):
        if each.number == 1:
            name = decoded(wire.bytes_of(each, MAX_NAME, "an input's name"), "an input's name")
        elif each.number == 2:
            if told.kind != "untyped":
                raise InvalidInputError("an input or output has two types")
            told = _type(wire, each, 1)
    return Port(name, told.kind, told.datatype, told.shape)


def _type(wire: Wire, message: Field, depth: int) -> _Type:
    expect(message, BYTES, "a type")
    if depth > MAX_NESTED:
        raise InvalidInputError(f"a type is nested more than {MAX_NESTED} deep")
    found: list[_Type] = []
    for each in wire.fields(message.value, message.end):
        match each.number:
            case 1:
                found.append(_tensor(wire, each))
            case 8:
                found.append(_Type(f"sparse_{_tensor(wire, each).kind}"))
            case 4:
                found.append(_Type(f"seq({_inner(wire, each, 1, depth)})"))
            case 9:
                found.append(_Type(f"optional({_inner(wire, each, 1, depth)})"))
            case 5:
                key = _key(wire, each)
                found.append(_Type(f"map({key},{_inner(wire, each, 2, depth)})"))
            case 7:
                found.append(_Type("opaque"))
    if len(found) > 1:
        raise InvalidInputError("an input or output has two types")
    return found[0] if found else _Type("untyped")


def _inner(wire: Wire, message: Field, number: int, depth: int) -> str:
    """The type within a sequence, a map or an optional."""
    expect(message, BYTES, "a type")
    kind = "untyped"
    for each in wire.fields(message.value, message.end):
        if each.number == number:
            kind = _type(wire, each, depth + 1).kind
    return kind


def _key(wire: Wire, message: Field) -> str:
    expect(message, BYTES, "a type")
    keys = [each for each in wire.fields(message.value, message.end) if each.number == 1]
    return element_type(keys[-1], "a map's key").name if keys else "untyped"


def _tensor(wire: Wire, message: Field) -> _Type:
    expect(message, BYTES, "a tensor's type")
    element: ElementType | None = None
    shape: tuple[int, ...] | None = None
    for each in wire.fields(message.value, message.end):
        if each.number == 1:
            element = element_type(each, "a tensor's elem_type")
        elif each.number == 2:
            if shape is not None:
                raise InvalidInputError("a tensor has two shapes")
            shape = _shape(wire, each)
    if element is None:
        return _Type("untyped")
    return _Type(f"tensor({element.name})", element.datatype, shape)


def element_type(each: Field, what: str) -> ElementType:
    """The type of elements that a field names by number.

    Raises:
        InvalidInputError: there is none of that number.
    """
    expect(each, VARINT, what)
    if each.value not in ELEMENTS:
        raise InvalidInputError(f"{what} is {each.signed}, which is no ONNX type")
    return ELEMENTS[each.value]


def _shape(wire: Wire, message: Field) -> tuple[int, ...]:
    expect(message, BYTES, "a shape")
    shape: list[int] = []
    for each in wire.fields(message.value, message.end):
        if each.number == 1:
            shape.append(_extent(wire, each))
        if len(shape) > MAX_RANK:
            raise InvalidInputError(f"a shape has more than {MAX_RANK} dimensions")
    return tuple(shape)


def _extent(wire: Wire, message: Field) -> int:
    """One dimension; -1 where it is not a number, or none that can be."""
    expect(message, BYTES, "a dimension")
    extent = -1
    for each in wire.fields(message.value, message.end):
        if each.number == 1:
            expect(each, VARINT, "a dimension")
            extent = each.signed
        elif each.number == 2:
            extent = -1
    if extent > MAX_EXTENT:
        raise InvalidInputError(f"a dimension of {extent} is more than {MAX_EXTENT}")
    return max(extent, -1)
