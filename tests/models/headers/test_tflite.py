"""TensorFlow Lite headers: what real files tell, and each way in which a file may be wrong."""

import struct
import time

import pytest

from sensorium.core.tensors import TensorSpec
from sensorium.models.headers.reading import read_header
from tests.models.headers.building import (
    MODELS,
    Flat,
    Number,
    Repeated,
    Vector,
    cases,
    needs_models,
    read,
    refusal,
    tflite,
    tflite_tensor,
)


@needs_models
@pytest.mark.parametrize(
    ("name", "taken", "given", "operators"),
    [
        (
            "hello_world_float",
            TensorSpec(name="serving_default_dense_input:0", datatype="FP32", shape=[-1, 1]),
            TensorSpec(name="StatefulPartitionedCall:0", datatype="FP32", shape=[-1, 1]),
            "3",
        ),
        (
            "micro_speech_quantized",
            TensorSpec(name="Reshape_1", datatype="INT8", shape=[1, 1960]),
            TensorSpec(name="labels_softmax", datatype="INT8", shape=[1, 4]),
            "4",
        ),
        (
            "audio_preprocessor_int8",
            TensorSpec(name="serving_default_audio_frame:0", datatype="INT16", shape=[1, 480]),
            TensorSpec(name="PartitionedCall:0", datatype="INT8", shape=[40]),
            "22",
        ),
    ],
)
def test_real_models_tell_what_they_are(
    name: str, taken: TensorSpec, given: TensorSpec, operators: str
) -> None:
    header = read_header(MODELS / "tflite" / f"{name}.tflite", "litert")
    assert header.inputs == [taken]
    assert header.outputs == [given]
    assert header.details["operators"] == operators


@needs_models
def test_quantisation_and_custom_operators_are_told() -> None:
    speech = read_header(MODELS / "tflite" / "micro_speech_quantized.tflite", "litert")
    assert speech.quantisation == "INT8"
    assert speech.details["input_quantisation"] == "Reshape_1: 0.101715684 -128"
    assert speech.details["output_quantisation"] == "labels_softmax: 0.00390625 -128"
    audio = read_header(MODELS / "tflite" / "audio_preprocessor_int8.tflite", "litert")
    assert "'SignalRfft'" in audio.details["custom_operators"]


def test_a_file_made_by_hand_is_read() -> None:
    header = read("litert", bytes(Flat(tflite()).data))
    assert header.inputs == [TensorSpec(name="in", datatype="INT8", shape=[-1, 4])]
    assert header.outputs == [TensorSpec(name="out", datatype="FP32", shape=[1, 2])]
    assert (header.parameters, header.tensor_bytes, header.tensors) == (8, 32, 3)
    assert header.details == {
        "description": "made by hand",
        "operators": "2",
        "subgraphs": "1",
        "custom_operators": "'Polish'",
        "signatures": "serving_default",
        "input_quantisation": "in: 0.5 -3",
    }


def with_subgraph(**changes: object) -> bytes:
    places = {"tensors": 0, "inputs": 1, "outputs": 2, "operators": 3}
    return bytes(Flat(tflite(subgraph={places[name]: told for name, told in changes.items()})).data)


def with_tensor(**told: object) -> bytes:
    tensors = [tflite_tensor("in", [2, 4], **told) for _ in range(3)]
    return with_subgraph(tensors=tensors)


def with_root(**changes: object) -> bytes:
    places = {"version": 0, "codes": 1, "subgraphs": 2, "buffers": 4}
    root = tflite()
    for name, told in changes.items():
        root[places[name]] = told
    return bytes(Flat(root).data)


@cases(
    (b"", "has not TFL3"),
    (b"\0" * 8, "has not TFL3"),
    (b"\0\0\0\0TFL3", "leads to 0 bytes"),
    (b"\xff\xff\xff\xffTFL3", "bytes further on"),
    (bytes(Flat(tflite(), b"TFL2").data), "has not TFL3"),
    (with_root(version=Number("I", 2)), "version 2 is not read"),
    (with_root(subgraphs=[]), "no subgraph"),
    (with_root(buffers=[{}]), "no buffer 1"),
    (with_root(buffers=[{}, {0: bytes(31)}]), "has 31 bytes, too few"),
    (with_root(buffers=[{}, {1: Number("Q", 64), 2: Number("Q", 1 << 60)}]), "names"),
    (with_subgraph(inputs=Vector("i", [3])), "tensor 3 is none of the 3"),
    (with_subgraph(outputs=Vector("i", [-2])), "tensor -2 is none"),
    (with_subgraph(operators=[{0: Number("I", 2)}]), "code 2 of 2"),
    (with_subgraph(operators=[{1: Vector("i", [1 << 20])}]), "is none of the 3"),
    (with_tensor(kind=99), "unknown type 99"),
    (with_tensor(kind=-1), "unknown type -1"),
    (with_subgraph(tensors=[tflite_tensor("a", [-5])]), "impossible shape"),
    (with_subgraph(tensors=[tflite_tensor("a", [1] * 40)]), "has 40 items"),
    (with_subgraph(tensors=[tflite_tensor("a" * 600, [1])]), "has 600 items"),
    (with_tensor(buffer=7), "no buffer 7"),
)
def test_what_is_wrong_is_said(data: bytes, why: str) -> None:
    assert why in refusal("litert", data)


def changed(layout: str, at: int, told: int) -> bytes:
    """The model made by hand with a number changed."""
    data = bytearray(Flat(tflite()).data)
    struct.pack_into(layout, data, at, told)
    return bytes(data)


def test_vtables_lead_nowhere_else() -> None:
    root = Flat(tflite()).tables[0]
    # A table that is its own vtable has a length of 0 there.
    assert "vtable" in refusal("litert", changed("<i", root, 0))
    assert "vtable" in refusal("litert", changed("<i", root, 1))
    for told in (1 << 30, -(1 << 30), root + 2, -(1 << 31)):
        assert "names 2 bytes from byte" in refusal("litert", changed("<i", root, told))
    vtable = root - struct.unpack_from("<i", Flat(tflite()).data, root)[0]
    assert "vtable" in refusal("litert", changed("<H", vtable, 3))
    assert "not inside the table" in refusal("litert", changed("<H", vtable + 4, 0xFFFE))
    assert "not inside the table" in refusal("litert", changed("<H", vtable + 2, 6))
    assert "names 65535 bytes" in refusal("litert", changed("<H", vtable + 2, 0xFFFF))


def test_tables_that_are_named_many_times_are_counted() -> None:
    """A small file can name one subgraph a thousand times, and that one tensor as often."""
    subgraph = {0: Repeated(50_000, {}), 3: Repeated(50_000, {1: Vector("i", [0] * 50_000)})}
    data = with_root(subgraphs=Repeated(1000, subgraph))
    assert len(data) < 1 << 20
    start = time.process_time()
    assert "more than those of any model" in refusal("litert", data)
    assert time.process_time() - start < 2
