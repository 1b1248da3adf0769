"""Headers of ONNX models: what their protobuf messages tell of inputs, outputs and weights.

The numbers of the fields are those of ONNX IR version 13.
"""

import re
from dataclasses import dataclass, field

from sensorium.core.errors import InvalidInputError
from sensorium.core.tensors import TensorSpec
from sensorium.models.headers.header import MAX_TEXT, Header, decoded, dominant, listed, shown
from sensorium.models.headers.onnx_tensors import Weights, read_sparse, read_tensor
from sensorium.models.headers.onnx_types import Port, read_port
from sensorium.models.headers.source import Source
from sensorium.models.headers.wire import BYTES, Field, Wire, expect

MAX_SIZE = 1 << 31
"""Protobuf reads no longer message; larger models keep their weights beside it."""
MAX_GRAPHS = 16
"""How deep graphs may lie in nodes of graphs."""
MAX_PORTS = 4096
MAX_OPSETS = 64
MAX_FUNCTIONS = 10_000
MAX_DOMAINS = 1000
MAX_OPERATORS = 4096
MAX_PREFIX = 32
"""Of a name that stands before something that must not be cut off."""
MAX_NAME = 1024
KNOWN_DOMAINS = {
    "",
    "ai.onnx",
    "ai.onnx.ml",
    "ai.onnx.training",
    "ai.onnx.preview.training",
    "com.microsoft",
    "com.microsoft.nchwc",
    "com.ms.internal.nhwc",
}
"""Whose operators ONNX Runtime has itself."""
_PLAIN_VALUES = re.compile(
    rb"(?:\x3d.{4})+|(?:\x40[\x80-\xff]{0,9}[\x00-\x7f])+", re.DOTALL | re.ASCII
)
"""The floats and ints of an attribute. A model of many trees is millions of them."""


@dataclass
class _Model:
    ir_version: int = 0
    opsets: dict[str, int] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    graphs: int = 0
    functions: set[str] = field(default_factory=set)
    """Domains of functions that the model brings itself."""
    function_count: int = 0
    nodes: int = 0
    domains: set[str] = field(default_factory=set)
    operators: set[str] = field(default_factory=set)
    inputs: list[Port] = field(default_factory=list)
    outputs: list[Port] = field(default_factory=list)
    weights: Weights = field(default_factory=Weights)
    initialisers: set[str] = field(default_factory=set)
    """Names of the main graph's, which hide inputs of the same name."""


def read(source: Source) -> Header:
    """The header of an ONNX model.

    Raises:
        InvalidInputError: it is malformed; says how.
        NotFoundError: a file with weights, which it names, is missing.
    """
    if source.size >= MAX_SIZE:
        raise InvalidInputError(f"an ONNX file is smaller than {MAX_SIZE} bytes")
    found = _Reader(source).read()
    inputs = [each for each in found.inputs if each.name not in found.initialisers]
    return Header(
        format="onnx",
        file_bytes=source.size,
        parameters=found.weights.parameters,
        tensor_bytes=found.weights.size,
        tensors=found.weights.count,
        inputs=_specs(inputs),
        outputs=_specs(found.outputs),
        quantisation=dominant(found.weights.sizes),
        operators=_operators(found),
        details=_details(found, inputs),
    )


class _Reader:
    def __init__(self, source: Source) -> None:
        self._wire = Wire(source)
        self._end = source.size
        self._found = _Model(weights=Weights(source.path.parent if source.path else None))

    def read(self) -> _Model:
        for each in self._wire.fields(0, self._end):
            match each.number:
                case 1:
                    self._found.ir_version = self._version(each, "ir_version")
                case 2 | 3:
                    what = "producer" if each.number == 2 else "producer_version"
                    self._found.texts[what] = self._text(each, what)[:MAX_TEXT]
                case 7:
                    self._main_graph(each)
                case 8:
                    self._opset(each)
                case 25:
                    self._function(each)
        if not self._found.graphs:
            raise InvalidInputError("it has no ONNX graph")
        if not self._found.ir_version or not self._found.opsets:
            raise InvalidInputError("it does not tell its ir_version and opset_import")
        return self._found

    def _main_graph(self, message: Field) -> None:
        self._found.graphs += 1
        if self._found.graphs > 1:
            raise InvalidInputError("it has two graphs")
        self._graph(message, 1)

    def _graph(self, message: Field, depth: int) -> None:
        """A graph; `depth` is 1 for the main one."""
        expect(message, BYTES, "a graph")
        if depth > MAX_GRAPHS:
            raise InvalidInputError(f"its graphs are nested more than {MAX_GRAPHS} deep")
        for each in self._wire.fields(message.value, message.end):
            match each.number:
                case 1:
                    self._node(each, depth)
                case 2 if depth == 1:
                    self._found.texts["graph"] = self._text(each, "a graph's name")[:MAX_TEXT]
                case 5:
                    self._initialiser(read_tensor(self._wire, each, self._found.weights), depth)
                case 15:
                    self._initialiser(read_sparse(self._wire, each, self._found.weights), depth)
                case 11 | 12 if depth == 1:
                    ports = self._found.inputs if each.number == 11 else self._found.outputs
                    ports.append(read_port(self._wire, each))
                    if len(ports) > MAX_PORTS:
                        raise InvalidInputError(f"it has more than {MAX_PORTS} inputs or outputs")

    def _initialiser(self, name: str, depth: int) -> None:
        if depth == 1:
            self._found.initialisers.add(name)

    def _node(self, message: Field, depth: int) -> None:
        expect(message, BYTES, "a node")
        self._found.nodes += 1
        for each in self._wire.fields(message.value, message.end):
            match each.number:
                case 4:
                    self._found.operators.add(self._text(each, "an operator's name"))
                    if len(self._found.operators) > MAX_OPERATORS:
                        raise InvalidInputError(f"it has more than {MAX_OPERATORS} operators")
                case 5:
                    self._attribute(each, depth)
                case 7:
                    self._found.domains.add(self._text(each, "an operator's domain"))
                    if len(self._found.domains) > MAX_DOMAINS:
                        raise InvalidInputError(f"its nodes are of more than {MAX_DOMAINS} domains")

    def _attribute(self, message: Field, depth: int) -> None:
        expect(message, BYTES, "an attribute")
        for each in self._wire.fields(message.value, message.end, _PLAIN_VALUES):
            match each.number:
                case 5 | 10:
                    read_tensor(self._wire, each, self._found.weights)
                case 22 | 23:
                    read_sparse(self._wire, each, self._found.weights)
                case 6 | 11:
                    self._graph(each, depth + 1)

    def _opset(self, message: Field) -> None:
        domain, version = "", 0
        expect(message, BYTES, "opset_import")
        for each in self._wire.fields(message.value, message.end):
            if each.number == 1:
                domain = self._text(each, "a domain")
            elif each.number == 2:
                version = self._version(each, "an opset version")
        self._found.opsets[domain] = version
        if len(self._found.opsets) > MAX_OPSETS:
            raise InvalidInputError(f"it imports more than {MAX_OPSETS} opsets")

    def _function(self, message: Field) -> None:
        expect(message, BYTES, "a function")
        self._found.function_count += 1
        if self._found.function_count > MAX_FUNCTIONS:
            raise InvalidInputError(f"it has more than {MAX_FUNCTIONS} functions")
        for each in self._wire.fields(message.value, message.end):
            match each.number:
                case 7:
                    self._node(each, 1)
                case 10:
                    self._found.functions.add(self._text(each, "a function's domain"))
                case 11:
                    self._attribute(each, 1)

    def _version(self, each: Field, what: str) -> int:
        expect(each, 0, what)
        if not 0 < each.value < 1 << 31:
            raise InvalidInputError(f"{what} is {each.signed}")
        return each.value

    def _text(self, each: Field, what: str) -> str:
        return decoded(self._wire.bytes_of(each, MAX_NAME, what), what)


def _specs(ports: list[Port]) -> list[TensorSpec]:
    found = [port.spec() for port in ports]
    return [spec for spec in found if spec is not None]


def _operators(found: _Model) -> list[str]:
    """The kinds of its nodes, where they are all of the standard and not functions of its own."""
    plain = not found.function_count and found.domains <= {"", "ai.onnx"}
    return sorted(found.operators) if plain else []


def _details(found: _Model, inputs: list[Port]) -> dict[str, str]:
    custom = found.domains - KNOWN_DOMAINS - found.functions
    told = {
        **found.texts,
        "ir_version": str(found.ir_version),
        "opsets": listed(
            [f"{domain or 'ai.onnx'} {found.opsets[domain]}" for domain in sorted(found.opsets)]
        ),
        "nodes": str(found.nodes),
        "functions": str(found.function_count or ""),
        "custom_domains": listed(sorted(shown(domain) for domain in custom)),
        "external_files": listed(sorted(found.weights.external)),
        "other_inputs": _others(inputs),
        "other_outputs": _others(found.outputs),
        "unshaped": listed([port.name for port in [*inputs, *found.outputs] if port.unshaped]),
    }
    return {key: text for key, text in told.items() if text}


def _others(ports: list[Port]) -> str:
    """Inputs or outputs that are no tensors of a datatype with a name in the protocol."""
    return listed(
        [f"{port.name[:MAX_PREFIX]}: {port.kind}" for port in ports if port.spec() is None]
    )
