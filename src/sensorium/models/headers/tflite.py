"""Headers of TensorFlow Lite models, flatbuffers with the identifier TFL3 (LiteRT reads them).

The places of the fields are those of schema version 3.
"""

from dataclasses import dataclass, field
from math import prod
from struct import Struct
from typing import NamedTuple

from sensorium.core.errors import InvalidInputError
from sensorium.core.tensors import Datatype, TensorSpec
from sensorium.models.headers.flatbuffer import Flatbuffer, Table
from sensorium.models.headers.header import MAX_NAME, MAX_TEXT, Header, dominant, listed, shown
from sensorium.models.headers.source import I32, U32, U64, Source

IDENTIFIER = b"TFL3"
VERSION = 3
MAX_TENSORS = 100_000
MAX_OPERATORS = 200_000
MAX_BUFFERS = 200_000
MAX_CODES = 4096
MAX_SUBGRAPHS = 1024
MAX_RANK = 32
MAX_LISTED_PORTS = 1024
MAX_SCALES = 1 << 20
MAX_PREFIX = 32
"""Of a name that stands before something that must not be cut off."""
CUSTOM = 32
"""The code of an operator that is called by its name."""
I8 = Struct("<b")
I64 = Struct("<q")
FLOAT = Struct("<f")


class TfliteType(NamedTuple):
    """A type of a tensor's numbers: its name, bits of one, the protocol's name if it has one."""

    name: str
    bits: int
    datatype: Datatype | None = None


TYPES = {
    0: TfliteType("FLOAT32", 32, "FP32"),
    1: TfliteType("FLOAT16", 16, "FP16"),
    2: TfliteType("INT32", 32, "INT32"),
    3: TfliteType("UINT8", 8, "UINT8"),
    4: TfliteType("INT64", 64, "INT64"),
    5: TfliteType("STRING", 0, "BYTES"),
    6: TfliteType("BOOL", 8, "BOOL"),
    7: TfliteType("INT16", 16, "INT16"),
    8: TfliteType("COMPLEX64", 64),
    9: TfliteType("INT8", 8, "INT8"),
    10: TfliteType("FLOAT64", 64, "FP64"),
    11: TfliteType("COMPLEX128", 128),
    12: TfliteType("UINT64", 64, "UINT64"),
    13: TfliteType("RESOURCE", 0),
    14: TfliteType("VARIANT", 0),
    15: TfliteType("UINT32", 32, "UINT32"),
    16: TfliteType("UINT16", 16, "UINT16"),
    17: TfliteType("INT4", 4),
    18: TfliteType("BFLOAT16", 16, "BF16"),
    19: TfliteType("INT2", 2),
    20: TfliteType("UINT4", 4),
}


@dataclass(frozen=True, slots=True)
class _Tensor:
    name: str
    kind: TfliteType
    shape: list[int]
    quantisation: tuple[float, int] | None = None
    """Scale and zero point, where there is one of each."""

    def spec(self) -> TensorSpec | None:
        if self.kind.datatype is None:
            return None
        return TensorSpec(name=self.name, datatype=self.kind.datatype, shape=self.shape)


@dataclass
class _Model:
    codes: list[str | None] = field(default_factory=list)
    """Of operators: the name of a custom one."""
    buffers: list[int] = field(default_factory=list)
    """Their bytes."""
    inputs: list[_Tensor] = field(default_factory=list)
    outputs: list[_Tensor] = field(default_factory=list)
    subgraphs: int = 0
    tensors: int = 0
    operators: int = 0
    parameters: int = 0
    sizes: dict[str, int] = field(default_factory=dict)
    """Bytes of constants of each type."""
    custom: set[str] = field(default_factory=set)
    used: set[int] = field(default_factory=set)
    """Buffers of constants that were counted."""


def read(source: Source) -> Header:
    """The header of a TensorFlow Lite model.

    Raises:
        InvalidInputError: it is malformed; says how.
    """
    root = Flatbuffer(source).root(IDENTIFIER)
    version = root.number(0, U32)
    if version != VERSION:
        raise InvalidInputError(f"TensorFlow Lite schema version {version} is not read")
    found = _Model(codes=[_code(each) for each in root.tables(1, MAX_CODES)])
    found.buffers = [_buffer(each, source) for each in root.tables(4, MAX_BUFFERS)]
    for subgraph in root.tables(2, MAX_SUBGRAPHS):
        _read_subgraph(subgraph, found)
    if not found.subgraphs:
        raise InvalidInputError("it has no subgraph")
    return Header(
        format="litert",
        file_bytes=source.size,
        parameters=found.parameters,
        tensor_bytes=sum(found.buffers),
        tensors=found.tensors,
        inputs=[spec for each in found.inputs if (spec := each.spec())],
        outputs=[spec for each in found.outputs if (spec := each.spec())],
        quantisation=dominant(found.sizes),
        details=_details(found, root),
    )


def _code(table: Table) -> str | None:
    """The name of a custom operator; None for one of TensorFlow Lite's own."""
    # The first was a byte, and is still written for those that fit; the larger one counts.
    code = max(table.number(0, I8), table.number(3, I32))
    if code != CUSTOM:
        return None
    return table.text(1, MAX_NAME) or "unnamed"


def _buffer(table: Table, source: Source) -> int:
    _, size = table.span(0, 1, source.size)
    offset = table.number(1, U64)
    if offset > 1:  # it lies behind the flatbuffer; 1 says no more than that it could
        size = table.number(2, U64)
        source.check(offset, size)
    return size


def _read_subgraph(table: Table, found: _Model) -> None:
    tensors = [_tensor(each, found) for each in table.tables(0, MAX_TENSORS)]
    inputs = _indices(table, 1, len(tensors), MAX_LISTED_PORTS)
    outputs = _indices(table, 2, len(tensors), MAX_LISTED_PORTS)
    if not found.subgraphs:
        found.inputs = [tensors[each] for each in inputs]
        found.outputs = [tensors[each] for each in outputs]
    found.subgraphs += 1
    found.tensors += len(tensors)
    for operator in table.tables(3, MAX_OPERATORS):
        _read_operator(operator, found, len(tensors))


def _read_operator(table: Table, found: _Model, tensors: int) -> None:
    code = table.number(0, U32)
    if code >= len(found.codes):
        raise InvalidInputError(f"an operator has the code {code} of {len(found.codes)}")
    _indices(table, 1, tensors, MAX_TENSORS)
    _indices(table, 2, tensors, MAX_TENSORS)
    found.operators += 1
    if (name := found.codes[code]) is not None:
        found.custom.add(name)


def _indices(table: Table, place: int, tensors: int, most: int) -> list[int]:
    """Which tensors something takes or gives; -1 stands for one that is left out."""
    indices = table.numbers(place, I32, most)
    for index in indices:
        if not -1 <= index < tensors:
            raise InvalidInputError(f"the tensor {index} is none of the {tensors} of a subgraph")
    return [index for index in indices if index >= 0]


def _tensor(table: Table, found: _Model) -> _Tensor:
    name = table.text(3, MAX_NAME)
    kind = TYPES.get(code := table.number(1, I8))
    if kind is None:
        raise InvalidInputError(f"the tensor {shown(name)} is of the unknown type {code}")
    shape = table.numbers(0, I32, MAX_RANK)
    if any(extent < -1 for extent in shape):
        raise InvalidInputError(f"the tensor {shown(name)} has an impossible shape: {shape}")
    _check_constant(table, found, name, kind, shape)
    signature = table.numbers(7, I32, MAX_RANK)
    if len(signature) == len(shape):
        shape = [max(extent, -1) for extent in signature]
    return _Tensor(name, kind, shape, _quantisation(table))


def _check_constant(
    table: Table, found: _Model, name: str, kind: TfliteType, shape: list[int]
) -> None:
    """That the buffer of a constant holds as many bytes as its shape tells."""
    index = table.number(2, U32)
    if index >= max(len(found.buffers), 1):
        raise InvalidInputError(f"the tensor {shown(name)} has no buffer {index}")
    size = found.buffers[index] if found.buffers else 0
    if not size or not kind.bits or index in found.used:
        return
    found.used.add(index)
    numbers = prod(shape)
    sparse = table.table(6) is not None
    if not sparse and (numbers * kind.bits + 7) // 8 > size:
        raise InvalidInputError(f"the tensor {shown(name)} has {size} bytes, too few for its shape")
    found.parameters += size * 8 // kind.bits
    key = kind.datatype or kind.name
    found.sizes[key] = found.sizes.get(key, 0) + size


def _quantisation(table: Table) -> tuple[float, int] | None:
    told = table.table(4)
    if told is None:
        return None
    if told.span(2, FLOAT.size, MAX_SCALES)[1] != 1:  # none, or one for each channel
        return None
    zeros = told.numbers(3, I64, MAX_SCALES)
    return told.numbers(2, FLOAT, 1)[0], zeros[0] if zeros else 0


def _details(found: _Model, root: Table) -> dict[str, str]:
    told = {
        "description": root.text(3, 1 << 16)[:MAX_TEXT],
        "operators": str(found.operators),
        "subgraphs": str(found.subgraphs),
        "custom_operators": listed(sorted(shown(name) for name in found.custom)),
        "signatures": listed([each.text(2, MAX_NAME) for each in root.tables(7, MAX_SUBGRAPHS)]),
        "input_quantisation": _quantisations(found.inputs),
        "output_quantisation": _quantisations(found.outputs),
        "other_inputs": _others(found.inputs),
        "other_outputs": _others(found.outputs),
    }
    return {key: text for key, text in told.items() if text}


def _quantisations(tensors: list[_Tensor]) -> str:
    """`name: scale zero_point` for each tensor that has them."""
    return listed(
        [
            f"{each.name[:MAX_PREFIX]}: {each.quantisation[0]:.9g} {each.quantisation[1]}"
            for each in tensors
            if each.quantisation is not None
        ]
    )


def _others(tensors: list[_Tensor]) -> str:
    return listed(
        [f"{each.name[:MAX_PREFIX]}: {each.kind.name}" for each in tensors if each.spec() is None]
    )
