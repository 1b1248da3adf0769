"""ONNX headers: what real files tell, agreement with ONNX Runtime, and what may be wrong."""

import csv
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sensorium.core.errors import InvalidInputError, NotFoundError
from sensorium.core.tensors import TensorSpec
from sensorium.models.headers.onnx_types import ELEMENTS
from sensorium.models.headers.reading import read_header
from tests.models.headers.building import (
    MODELS,
    cases,
    field,
    needs_models,
    onnx,
    outside,
    read,
    refusal,
    tensor,
    varint,
)

FLOATS = field(1, field(1, 1) + field(2, field(1, field(1, 2)) + field(1, field(2, "n"))))


def port(name: str, kind: bytes = FLOATS) -> bytes:
    return field(1, name) + field(2, kind)


def nested(depth: int) -> bytes:
    """Graphs in nodes of graphs."""
    graph = b""
    for _ in range(depth):
        graph = field(1, field(5, field(6, graph)))
    return graph


def deep_type(depth: int) -> bytes:
    kind = FLOATS
    for _ in range(depth):
        kind = field(4, field(1, kind))
    return kind


def test_inputs_that_are_weights_are_no_inputs() -> None:
    header = read(
        "onnx",
        onnx(
            field(2, "net"),
            field(1, field(4, "MatMul")),
            field(1, field(4, "Polish") + field(7, "my.own")),
            field(5, tensor("w", [2, 2], bytes(16))),
            field(11, port("w")),
            field(11, port("x")),
            field(12, port("y", field(4, field(1, FLOATS)))),
            field(12, port("z", field(1, field(1, 17)))),
            field(12, port("u", field(1, field(1, 1)))),
            field(12, field(1, "v")),
        ),
    )
    assert header.inputs == [TensorSpec(name="x", datatype="FP32", shape=[2, -1])]
    assert header.outputs == [TensorSpec(name="u", datatype="FP32", shape=[])]
    assert header.details["other_outputs"] == (
        "y: seq(tensor(float)), z: tensor(float8e4m3fn), v: untyped"
    )
    assert header.details["unshaped"] == "u"
    assert header.details["custom_domains"] == "'my.own'"
    assert header.details["nodes"] == "2"
    assert (header.parameters, header.tensor_bytes, header.tensors) == (4, 16, 1)


def test_constants_of_nodes_and_of_graphs_in_them_are_weights() -> None:
    inner = field(5, tensor("inner", [3], bytes(3), kind=2))
    node = field(5, field(5, tensor("constant", [2], bytes(16), kind=7)) + field(6, inner))
    header = read("onnx", onnx(field(1, node), field(11, port("inner"))))
    assert (header.tensors, header.tensor_bytes) == (2, 19)
    assert header.quantisation == "INT64"
    assert [each.name for each in header.inputs] == ["inner"]


def test_millions_of_plain_values_are_passed_over() -> None:
    floats = b"\x3d\0\0\x80\x3f" * 2_000_000
    ints = b"\x40\xac\x02" * 2_000_000 + b"\x40\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"
    node = field(5, field(1, "nodes_values") + floats) + field(5, field(1, "ids") + ints)
    assert read("onnx", onnx(field(1, node))).details["nodes"] == "1"


def test_more_fields_than_any_model_are_refused() -> None:
    data = onnx(field(1, b"\x0a\0" * 3_100_000))
    assert "protobuf fields" in refusal("onnx", data)


@cases(
    (b"", "no ONNX graph"),
    (b"\0\0\0", "0 with the wire type 0 is no protobuf field"),
    (b"\x0b", "1 with the wire type 3 is no"),
    (b"\x3a\xff\xff\xff\xff\x07", "is in a message with 0 left"),
    (b"\x08" + b"\xff" * 11, "beyond 64 bits"),
    (b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", "beyond 64 bits"),
    (b"\x08", "beyond its message"),
    (field(7, b""), "ir_version"),
    (field(1, 0) + field(7, b""), "ir_version is 0"),
    (field(1, b"x") + field(7, b""), "wire type 2"),
    (onnx() + field(7, b""), "two graphs"),
    (onnx() + field(7, 3), "two graphs"),
    (field(7, 3), "a graph has the protobuf wire type 0"),
    (onnx(nested(10_000)), "nested more than 16 deep"),
    (onnx(nested(17)), "nested more than 16 deep"),
    (onnx(field(11, port("x", deep_type(9)))), "nested more than 8 deep"),
    (onnx(field(11, port("x", FLOATS + FLOATS))), "two types"),
    (onnx(field(11, port("x") + field(2, FLOATS))), "two types"),
    (onnx(field(11, port("x", field(1, field(1, 99))))), "99, which is no ONNX type"),
    (onnx(field(11, port("x", field(1, field(1, 1) + field(2, field(1, field(1, 1 << 40))))))),
     "a dimension of 1099511627776"),
    (onnx(field(11, port("x", field(1, field(1, 1) + field(2, field(1, b"") * 65))))),
     "more than 64 dimensions"),
    (onnx(field(11, field(1, b"\xff"))), "no UTF-8"),
    (onnx(field(11, port("x" * 600))), "longer than 512"),
    (onnx(field(11, port("x")) * 5000), "more than 4096 inputs"),
    (onnx(field(1, field(7, "a" * 2000))), "longer than 1024"),
    (onnx(b"".join(field(1, field(7, f"d{n}")) for n in range(2000))), "more than 1000 domains"),
    (onnx(field(5, tensor("w", [2], bytes(4)))), "'w' has 4 bytes, not 8"),
    (onnx(field(5, tensor("w", [1 << 40], bytes(4)))), "'w' has 4 bytes"),
    (onnx(field(5, tensor("w", [1 << 62, 4], b""))), "impossible shape"),
    (onnx(field(5, field(1, (1 << 64) - 1) + field(2, 1))), "impossible shape"),
    (onnx(field(5, field(1, 1 << 40) + field(2, 1) + field(4, bytes(8)))), "has not the"),
    (onnx(field(5, field(1, 1 << 40) + field(2, 8) + field(6, b"x"))), "has not the"),
    (onnx(field(5, field(1, b"\x01" * 65) + field(2, 1))), "more than 64"),
    (onnx(field(5, field(1, 1))), "no data_type"),
    (onnx(field(15, field(2, tensor("i", [2], bytes(4))))), "has 4 bytes"),
)  # fmt: skip
def test_what_is_wrong_is_said(data: bytes, why: str) -> None:
    assert why in refusal("onnx", data)


@pytest.mark.parametrize(
    "location",
    [
        "../../etc/passwd",
        "/etc/passwd",
        "a/../../b",
        "./w.bin",
        "a//b",
        "",
        "C:w.bin",
        "a\\..\\b",
        "w\0.bin",
        "*/_ORT_MEM_ADDR_/*",
        "link/passwd",
        "link.bin",
        "folder",
    ],
)
def test_weights_in_another_file_are_inside_the_folder(tmp_path: Path, location: str) -> None:
    folder = tmp_path / "model"
    (folder / "folder").mkdir(parents=True)
    (folder / "link").symlink_to("/etc")
    (folder / "link.bin").symlink_to("/etc/passwd")
    (tmp_path / "b").write_bytes(bytes(8))
    path = folder / "m.onnx"
    path.write_bytes(onnx(field(5, outside("w", [1], location=location))))
    with pytest.raises(InvalidInputError, match="outside of the model's folder") as refused:
        read_header(path, "onnx")
    assert "passwd" not in refused.value.message


def test_weights_in_another_file_are_inside_that_file(tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(bytes(24))
    path = tmp_path / "m.onnx"

    def written(**entries: str) -> Path:
        path.write_bytes(onnx(field(5, outside("w", [2, 2], location="w.bin", **entries))))
        return path

    header = read_header(written(offset="8", length="16"), "onnx")
    assert (header.tensor_bytes, header.details["external_files"]) == (16, "w.bin")
    read_header(written(), "onnx")
    wrong = {
        "beyond the end": {"offset": "9"},
        "16": {"length": "8"},
        "no number": {"offset": "-8"},
        "an offset": {"offset": "9" * 30},
    }
    for why, entries in wrong.items():
        with pytest.raises(InvalidInputError, match=why):
            read_header(written(**entries), "onnx")
    (tmp_path / "w.bin").unlink()
    with pytest.raises(NotFoundError):
        read_header(path, "onnx")


@settings(deadline=None)
@given(st.integers(0, 2**64 - 1))
def test_numbers_come_back(told: int) -> None:
    read_back = read("onnx", onnx() + field(5, told) + varint(9 << 3) + varint(told))
    assert read_back.details["ir_version"] == "9"


def loadable() -> list[Path]:
    """The shared models, those that ONNX Runtime loads."""
    if not MODELS.is_dir():
        return []
    with (MODELS / "onnx" / "expect.csv").open() as file:
        names = [
            row["case"]
            for row in csv.DictReader(file)
            if "error" not in row["onnxruntime_cpu_result"]
        ]
    return [
        MODELS / "onnx" / (name if name.endswith(".onnx") else f"{name}/model.onnx")
        for name in names
    ]


def told_by_runtime(path: Path) -> tuple[list[tuple[str, str, list[int]]], ...]:
    """Names, types and shapes as ONNX Runtime tells them."""
    runtime = pytest.importorskip("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    session = runtime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return tuple(
        [
            (each.name, each.type, [n if isinstance(n, int) else -1 for n in each.shape or []])
            for each in side
        ]
        for side in (session.get_inputs(), session.get_outputs())
    )


@needs_models
@pytest.mark.parametrize("path", loadable(), ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_agrees_with_onnx_runtime(path: Path) -> None:
    runtime = pytest.importorskip("onnxruntime")
    header = read_header(path, "onnx")
    try:
        sides = told_by_runtime(path)
    except runtime.capi.onnxruntime_pybind11_state.NotImplemented:
        pytest.skip("an operator of an old opset, which this ONNX Runtime has no more")
    for specs, told in zip((header.inputs, header.outputs), sides, strict=True):
        tensors = {f"tensor({each.name})": each.datatype for each in ELEMENTS.values()}
        expected = [
            TensorSpec(name=name, datatype=datatype, shape=shape)
            for name, kind, shape in told
            if (datatype := tensors.get(kind)) is not None
        ]
        assert specs == expected
    others = [f"{name[:32]}: {kind}" for name, kind, _ in sides[1] if kind not in tensors]
    assert header.details.get("other_outputs", "") == ", ".join(others)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([n for n in ELEMENTS if n <= 16]),
            st.none() | st.lists(st.none() | st.integers(0, 9) | st.just("n"), max_size=5),
        ),
        min_size=1,
        max_size=5,
    )
)
def test_reads_what_the_onnx_library_writes(
    ports: list[tuple[int, list[int | str | None]]],
) -> None:
    helper = pytest.importorskip("onnx.helper")
    infos = [
        helper.make_tensor_value_info(f"p{index}", kind, shape)
        for index, (kind, shape) in enumerate(ports)
    ]
    weight = helper.make_tensor("w", 1, [2], [1.0, 2.0])
    graph = helper.make_graph([], "g", infos, infos, [weight])
    header = read("onnx", helper.make_model(graph).SerializeToString())
    expected = [
        TensorSpec(
            name=f"p{index}",
            datatype=datatype,
            shape=[each if isinstance(each, int) else -1 for each in shape or []],
        )
        for index, (kind, shape) in enumerate(ports)
        if (datatype := ELEMENTS[kind].datatype) is not None
    ]
    assert header.inputs == header.outputs == expected
    assert header.tensor_bytes == 8
