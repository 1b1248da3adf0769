"""How much memory a model will need, by its header."""

from pathlib import Path

import pytest

from sensorium.core.tensors import TensorSpec
from sensorium.models.headers.estimate import estimate
from sensorium.models.headers.header import Attention, Header
from sensorium.models.headers.reading import read_header
from tests.models.headers.building import (
    MODELS,
    TINYLM,
    Flat,
    lightgbm,
    needs_models,
    needs_tinylm,
    read,
    tflite,
)


@needs_tinylm
@pytest.mark.parametrize("name", ["tinylm-q8_0.gguf", "hf-f16"])
def test_keys_and_values_grow_with_the_context(name: str) -> None:
    path = TINYLM / name
    header = read_header(path, "gguf" if path.is_file() else "transformers")
    told = estimate(header)
    assert told.weights_bytes == header.file_bytes
    assert told.per_token_bytes == 2 * 4 * 4 * 32 * 2  # keys, values; layers, heads, length, bytes
    assert told.total_bytes(256) == told.total_bytes() + 256 * 2048
    assert estimate(header, cache_bytes=1).per_token_bytes == 1024


def test_scratch_is_what_llama_cpp_lays_out() -> None:
    """Two models made for it took 34.02 and 53.02 MB, without the mask, at 512 tokens."""
    shapes = {34.02: (1024, 4096, 32_000), 53.02: (512, 8192, 1000)}
    for megabytes, (embedding, inside, vocabulary) in shapes.items():
        header = Header(
            format="gguf",
            attention=Attention(
                blocks=4,
                embedding_length=embedding,
                feed_forward_length=inside,
                vocabulary=vocabulary,
            ),
        )
        assert estimate(header).scratch_bytes / 2**20 == pytest.approx(megabytes, rel=0.01)


@needs_models
def test_a_vocabulary_alone_needs_room_for_itself() -> None:
    header = read_header(MODELS / "ggml-vocab-phi-3.gguf", "gguf")
    assert estimate(header).total_bytes(8192) == header.file_bytes


def test_what_takes_tensors_needs_room_for_them() -> None:
    told = estimate(read("litert", bytes(Flat(tflite()).data)))
    assert told.scratch_bytes == 4 + 2 * 4
    assert told.per_token_bytes == 0
    data = lightgbm()
    assert estimate(read("lightgbm", data)).weights_bytes == len(data)


def test_onnx_weights_inside_the_file_are_held_twice() -> None:
    ports = [TensorSpec(name="x", datatype="FP32", shape=[-1, 10])]
    inside = Header(format="onnx", tensor_bytes=1000, file_bytes=1200, inputs=ports)
    beside = Header(format="onnx", tensor_bytes=100_000, file_bytes=200, inputs=ports)
    assert estimate(inside).weights_bytes == 1200
    assert estimate(beside).weights_bytes == 100_000
    assert estimate(inside).scratch_bytes - estimate(beside).scratch_bytes == 800


@needs_models
def test_every_shared_model_has_an_estimate() -> None:
    models: list[Path] = sorted((MODELS / "tflite").glob("*.tflite"))
    for path in models:
        assert estimate(read_header(path, "litert")).weights_bytes == path.stat().st_size
