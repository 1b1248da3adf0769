"""Small model files, made byte by byte, and the shared real ones."""

import io
import json
import struct
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from sensorium.core.errors import InvalidInputError
from sensorium.models.artifact import Format
from sensorium.models.headers.header import Header
from sensorium.models.headers.reading import READERS
from sensorium.models.headers.source import held

ROOT = Path(__file__).resolve().parents[3]
SAMPLES = ROOT / "src" / "sensorium" / "models" / "samples"
SHARED = ROOT.parent / "shared"
MODELS = SHARED / "data" / "models"
TINYLM = SHARED / "models" / "tinylm"
needs_models = pytest.mark.skipif(
    not MODELS.is_dir(), reason="the shared model files are not beside this checkout"
)
needs_tinylm = pytest.mark.skipif(
    not TINYLM.is_dir(), reason="the shared tinylm is not beside this checkout"
)

U32, TEXT, ARRAY = 4, 8, 9


def read(format: Format, data: bytes) -> Header:
    """The header of a file that these bytes are."""
    return READERS[format](held(data))


def outcome(format: Format, data: bytes) -> str | None:
    """Why a file is refused; None where it is not. Any other error comes through."""
    try:
        read(format, data)
    except InvalidInputError as refused:
        return refused.message
    return None


def refusal(format: Format, data: bytes) -> str:
    """Why a file is refused."""
    refused = outcome(format, data)
    assert refused is not None
    return refused


def cases(*pairs: tuple[bytes, str]) -> Any:
    """Files that are wrong, and what each refusal has to say."""
    named = [pytest.param(*pair, id=f"{n}-{pair[1]}") for n, pair in enumerate(pairs)]
    return pytest.mark.parametrize(("data", "why"), named)


# GGUF


def text(value: str) -> bytes:
    """A string of GGUF."""
    return struct.pack("<Q", len(value.encode())) + value.encode()


def value(key: str, kind: int, body: bytes) -> bytes:
    """A key of GGUF with its value."""
    return text(key) + struct.pack("<I", kind) + body


def number(key: str, told: int) -> bytes:
    """A key of GGUF with a uint32."""
    return value(key, U32, struct.pack("<I", told))


def row(name: str, shape: Sequence[int], kind: int = 0, offset: int = 0) -> bytes:
    """A tensor in the table of a GGUF file."""
    numbers = struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, offset)
    return text(name) + numbers


ARCHITECTURE = value("general.architecture", TEXT, text("llama"))
LLAMA = [
    ARCHITECTURE,
    number("llama.block_count", 2),
    number("llama.context_length", 64),
    number("llama.embedding_length", 32),
    number("llama.attention.head_count", 4),
    number("llama.attention.head_count_kv", 2),
    number("llama.feed_forward_length", 48),
    value(
        "tokenizer.ggml.tokens",
        ARRAY,
        struct.pack("<IQ", TEXT, 300) + b"".join(text(f"token{n}") for n in range(300)),
    ),
    value("tokenizer.ggml.scores", ARRAY, struct.pack("<IQ", 6, 300) + bytes(1200)),
    value("tokenizer.chat_template", TEXT, text("{{ messages }}" * 400)),
]


def gguf(
    values: Sequence[bytes] = (ARCHITECTURE,),
    rows: Sequence[bytes] = (),
    data: int = 0,
    *,
    version: int = 3,
    counts: tuple[int, int] | None = None,
) -> bytes:
    """A GGUF file with so many bytes of tensors; `counts` are of tensors and of values."""
    told = counts or (len(rows), len(values))
    head = b"GGUF" + struct.pack("<IQQ", version, *told) + b"".join(values) + b"".join(rows)
    return head + bytes(-len(head) % 32 + data)


# safetensors


def safetensors(entries: Mapping[str, Any], data: int) -> bytes:
    """A safetensors file with so many bytes of tensors."""
    header = json.dumps(entries).encode()
    return struct.pack("<Q", len(header)) + header + bytes(data)


def entry(dtype: str, shape: Sequence[int], start: int, end: int) -> dict[str, Any]:
    """A tensor in the header of a safetensors file."""
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [start, end]}


# Protobuf


def varint(told: int) -> bytes:
    """A number as protobuf writes it."""
    written = bytearray()
    while told > 0x7F:
        written.append(told & 0x7F | 0x80)
        told >>= 7
    return bytes([*written, told])


def field(at: int, told: int | bytes | str) -> bytes:
    """A field of a message."""
    if isinstance(told, int):
        return varint(at << 3) + varint(told)
    data = told.encode() if isinstance(told, str) else told
    return varint(at << 3 | 2) + varint(len(data)) + data


def onnx(*graph: bytes) -> bytes:
    """An ONNX model of a graph with these fields."""
    return field(1, 9) + field(8, field(2, 17)) + field(7, b"".join(graph))


def tensor(name: str, dims: Sequence[int], raw: bytes, *more: bytes, kind: int = 1) -> bytes:
    """An ONNX tensor."""
    told = b"".join(field(1, each) for each in dims)
    return told + field(2, kind) + field(8, name) + field(9, raw) + b"".join(more)


def outside(name: str, dims: Sequence[int], **entries: str) -> bytes:
    """An ONNX tensor whose bytes are in another file."""
    told = b"".join(field(1, each) for each in dims) + field(2, 1) + field(8, name)
    pairs = [field(13, field(1, key) + field(2, text)) for key, text in entries.items()]
    return told + b"".join(pairs) + field(14, 1)


# Flatbuffers


class Number(NamedTuple):
    """A number in a table."""

    layout: str
    told: int


class Vector(NamedTuple):
    """Numbers of one layout."""

    layout: str
    told: Sequence[float]


Table = dict[int, Any]
"""Fields by their places: a Number, a Vector, text, bytes, a Table, some Tables or a Repeated."""


class Repeated(NamedTuple):
    """A vector whose items all lead to one table."""

    count: int
    table: Table


class Flat:
    """Writes a flatbuffer from its root on, so that all offsets lead forward."""

    def __init__(self, root: Table, identifier: bytes = b"TFL3") -> None:
        self.data = bytearray(4) + identifier
        self.tables: list[int] = []
        """Where tables are, in the order in which they were written."""
        self._point(0, self._table(root))

    def _align(self, size: int) -> None:
        self.data += bytes(-len(self.data) % size)

    def _point(self, at: int, target: int) -> None:
        self.data[at : at + 4] = struct.pack("<I", target - at)

    def _table(self, fields: Table) -> int:
        self._align(8)
        places = [0] * (max(fields, default=-1) + 1)
        size = 8
        for place, told in fields.items():
            width = struct.calcsize(told.layout) if isinstance(told, Number) else 4
            size += -size % width
            places[place] = size
            size += width
        vtable = len(self.data)
        self.data += struct.pack(f"<HH{len(places)}H", 4 + 2 * len(places), size, *places)
        self._align(8)
        at = len(self.data)
        self.tables.append(at)
        self.data += struct.pack("<i", at - vtable) + bytes(size - 4)
        for place, told in fields.items():
            here = at + places[place]
            if isinstance(told, Number):
                struct.pack_into("<" + told.layout, self.data, here, told.told)
            else:
                self._point(here, self._other(told))
        return at

    def _other(self, told: Any) -> int:
        if isinstance(told, dict):
            return self._table(told)
        if isinstance(told, Vector):
            width = struct.calcsize(told.layout)
            return self._vector(
                len(told.told), width, struct.pack(f"<{len(told.told)}{told.layout}", *told.told)
            )
        if isinstance(told, Repeated):
            at = self._vector(told.count, 4, bytes(4 * told.count))
            target = self._table(told.table)
            for index in range(told.count):
                self._point(at + 4 + 4 * index, target)
            return at
        if isinstance(told, list):
            at = self._vector(len(told), 4, bytes(4 * len(told)))
            for index, each in enumerate(told):
                self._point(at + 4 + 4 * index, self._table(each))
            return at
        data = told.encode() + b"\0" if isinstance(told, str) else told
        return self._vector(len(told), 1, data)

    def _vector(self, count: int, width: int, data: bytes) -> int:
        self._align(4)
        if width == 8 and len(self.data) % 8 == 0:
            self.data += bytes(4)
        at = len(self.data)
        self.data += struct.pack("<I", count) + data
        return at


def tflite_tensor(name: str, shape: Sequence[int], **told: Any) -> Table:
    """A tensor of TensorFlow Lite."""
    fields: Table = {0: Vector("i", shape), 3: name}
    if "kind" in told:
        fields[1] = Number("b", told["kind"])
    if "buffer" in told:
        fields[2] = Number("I", told["buffer"])
    if "scale" in told:
        fields[4] = {2: Vector("f", [told["scale"]]), 3: Vector("q", [told["zero"]])}
    if "signature" in told:
        fields[7] = Vector("i", told["signature"])
    return fields


def tflite(**changes: Any) -> Table:
    """A model of one fully connected layer and one custom operator."""
    tensors = [
        tflite_tensor("in", [1, 4], kind=9, scale=0.5, zero=-3, signature=[-1, 4]),
        tflite_tensor("weights", [2, 4], buffer=1),
        tflite_tensor("out", [1, 2]),
    ]
    operators = [
        {0: Number("I", 0), 1: Vector("i", [0, 1, -1]), 2: Vector("i", [2])},
        {0: Number("I", 1), 1: Vector("i", [0]), 2: Vector("i", [2])},
    ]
    subgraph = {0: tensors, 1: Vector("i", [0]), 2: Vector("i", [2]), 3: operators, 4: "main"}
    return {
        0: Number("I", 3),
        1: [
            {0: Number("b", 9), 3: Number("i", 9)},
            {0: Number("b", 32), 1: "Polish", 3: Number("i", 32)},
        ],
        2: [{**subgraph, **changes.get("subgraph", {})}],
        3: "made by hand",
        4: [{}, {0: bytes(32)}],
        7: [{2: "serving_default"}],
    }


# Zip files


def zipped(members: Mapping[str, bytes], *, deflated: Sequence[str] = ()) -> bytes:
    """A zip file."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in members.items():
            method = zipfile.ZIP_DEFLATED if name in deflated else zipfile.ZIP_STORED
            archive.writestr(name, data, method)
    return file.getvalue()


TORCHSCRIPT = {
    "net/data.pkl": b"\x80\x02c__torch__\nNet\nq\x00)\x81}.",
    "net/code/__torch__.py": b"class Net(Module):\n  def forward(self, x):\n    return x\n" * 40,
    "net/constants.pkl": b"\x80\x02).",
    "net/data/0": bytes(64),
    "net/data/1": bytes(32),
    "net/version": b"3\n",
    "net/byteorder": b"little",
}


def torchscript(**changes: bytes | None) -> bytes:
    """A TorchScript file; members are changed, or left out, by their names with `_` for `/`."""
    members: dict[str, bytes] = {}
    for name, data in TORCHSCRIPT.items():
        told = changes.pop(name.replace("/", "_").replace(".", "_"), data)
        if told is not None:
            members[name] = told
    return zipped(members, deflated=["net/code/__torch__.py"])


# LightGBM


TREE = {
    "num_leaves": "4",
    "num_cat": "1",
    "split_feature": "0 1 2",
    "split_gain": "3 2 1",
    "threshold": "0.5 -1.5e-07 0",
    "decision_type": "2 2 1",
    "left_child": "1 -1 -2",
    "right_child": "2 -3 -4",
    "leaf_value": "0.1 -0.1 inf 3",
    "leaf_count": "5 6 7 8",
    "cat_boundaries": "0 2",
    "cat_threshold": "7 4294967295",
    "is_linear": "0",
    "shrinkage": "1",
}


def lightgbm(
    trees: int = 2, tree: Mapping[str, str | None] | None = None, rest: str = "", **changes: Any
) -> bytes:
    """A model of LightGBM's; lines of it, and of its last tree, are changed or left out."""
    bodies = []
    for number in range(trees):
        told = {**TREE, **(tree or {} if number == trees - 1 else {})}
        lines = [f"{key}={text}\n" for key, text in told.items() if text is not None]
        bodies.append(f"Tree={number}\n{''.join(lines)}\n\n")
    head_lines: dict[str, Any] = {
        "version": "v4",
        "num_class": "1",
        "num_tree_per_iteration": "1",
        "label_index": "0",
        "max_feature_idx": "2",
        "objective": "binary sigmoid:1",
        "feature_names": "age height mass",
        "feature_infos": "[0:1] [0:1] none",
        "tree_sizes": " ".join(str(len(body)) for body in bodies),
        **changes,
    }
    head = "".join(f"{key}={told}\n" for key, told in head_lines.items() if told is not None)
    parameters = "".join(f"[parameter_{n}: {n}]\n" for n in range(60))
    rest = rest or (
        "end of trees\n\nfeature_importances:\nage=2\nheight=1\n\n"
        f"parameters:\n{parameters}\nend of parameters\n\npandas_categorical:null\n"
    )
    return f"tree\n{head}\n{''.join(bodies)}{rest}".encode()
