"""GGUF headers: what real files tell, and each way in which a file may be wrong."""

import struct
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sensorium.core.errors import InvalidInputError, NotFoundError
from sensorium.models.headers.ggml import TYPES
from sensorium.models.headers.header import Attention
from sensorium.models.headers.reading import read_header
from tests.models.headers.building import (
    ARCHITECTURE,
    ARRAY,
    LLAMA,
    MODELS,
    TEXT,
    TINYLM,
    cases,
    gguf,
    needs_models,
    needs_tinylm,
    number,
    read,
    refusal,
    row,
    text,
    value,
)

MEGABYTE = 1 << 20


@needs_tinylm
@pytest.mark.parametrize(
    ("name", "quantisation", "size"),
    [("tinylm-q8_0", "Q8_0", 3_073_024), ("tinylm-f16", "F16", 5_776_384)],
)
def test_tinylm_tells_what_it_is(name: str, quantisation: str, size: int) -> None:
    header = read_header(TINYLM / f"{name}.gguf", "gguf")
    assert header.architecture == "llama"
    assert header.parameters == 2_885_888
    assert (header.tensors, header.tensor_bytes) == (38, size)
    assert header.context_length == 256
    assert header.quantisation == quantisation
    assert header.attention == Attention(
        blocks=4,
        heads=8,
        kv_heads=16,
        key_length=32,
        value_length=32,
        embedding_length=256,
        feed_forward_length=512,
        vocabulary=2048,
    )
    assert header.details["name"] == "sensorium-tinylm"
    assert header.details["chat_template"] == "yes"
    assert header.details["licence"].startswith("mit")


@needs_models
@pytest.mark.parametrize(("name", "tokens"), [("bert-bge", 30_522), ("gpt-2", 50_257)])
def test_a_vocabulary_alone_is_passed_over_and_counted(name: str, tokens: int) -> None:
    header = read_header(MODELS / f"ggml-vocab-{name}.gguf", "gguf")
    assert header.tensors == 0
    assert header.attention is not None
    assert header.attention.vocabulary == tokens


def test_a_long_chat_template_is_kept() -> None:
    template = "{{ messages }}" * 1000
    made = gguf([ARCHITECTURE, value("tokenizer.chat_template", TEXT, text(template))])
    assert read("gguf", made).chat_template == template


def test_a_file_made_by_hand_is_read() -> None:
    rows = [row("a", [64, 2], 8), row("b", [5], 0, 160)]
    header = read("gguf", gguf(LLAMA, rows, 192))
    assert (header.tensors, header.parameters, header.tensor_bytes) == (2, 133, 136 + 20)
    assert header.quantisation == "Q8_0"
    assert header.details["types"] == "F32 20 bytes, Q8_0 136 bytes"
    assert header.attention is not None
    assert (header.attention.kv_heads, header.attention.key_length) == (4, 8)


def test_heads_may_differ_from_layer_to_layer() -> None:
    heads = value("llama.attention.head_count_kv", ARRAY, struct.pack("<IQ3I", 4, 3, 1, 2, 4))
    header = read("gguf", gguf([ARCHITECTURE, number("llama.block_count", 3), heads]))
    assert header.attention is not None
    assert header.attention.kv_heads == 7
    few = [ARCHITECTURE, number("llama.block_count", 4), heads]
    assert "3 values for 4 blocks" in refusal("gguf", gguf(few))


def test_a_tensor_beyond_the_end_is_refused() -> None:
    """What let a quantiser read past its buffer: an offset larger than the file."""
    assert "beyond the end" in refusal("gguf", gguf(rows=[row("a", [64], 0, 1 << 40)], data=256))
    assert "beyond the end" in refusal("gguf", gguf(rows=[row("a", [64])], data=224))
    assert "beyond the end" in refusal("gguf", gguf(rows=[row("a", [1 << 40])], data=256))
    read("gguf", gguf(rows=[row("a", [64])], data=256))


@cases(
    (b"", "does not begin with GGUF"),
    (b"GGUF", "names 4 bytes from byte 4"),
    (gguf(version=1), "version 1 is not read"),
    (gguf(version=0x03000000), "big-endian"),
    (gguf(counts=(1 << 60, 0)), "tensors are more than"),
    (gguf(counts=(0, 1 << 60)), "metadata keys are more than"),
    (gguf(counts=(60_000, 1)), "names 1440000 bytes"),
    (gguf([]), "general.architecture"),
    (gguf([ARCHITECTURE, ARCHITECTURE]), "comes twice"),
    (gguf([value("a", 13, b"")]), "unknown type 13"),
    (gguf([value("a", TEXT, struct.pack("<Q", 1 << 63))]), "names"),
    (gguf([struct.pack("<Q", 1 << 40)]), "a metadata key of"),
    (gguf([value("a", TEXT, text("\0") + b"x")], counts=(0, 2)), "names"),
    (gguf([text("a") + struct.pack("<IQB", 8, 1, 0xFF)]), "no UTF-8"),
    (gguf([value("a", ARRAY, struct.pack("<IQ", ARRAY, 1))]), "an array of arrays"),
    (gguf([value("a", ARRAY, struct.pack("<IQ", 77, 1))]), "an array of the unknown type 77"),
    (gguf([value("a", ARRAY, struct.pack("<IQ", 4, 1 << 62))]), "names"),
    (gguf([value("a", ARRAY, struct.pack("<IQ", TEXT, 1 << 62))]), "strings"),
    (gguf([value("a", ARRAY, struct.pack("<IQ", TEXT, 1 << 20))]), "names"),
    (gguf([value("a", ARRAY, struct.pack("<IQQ", TEXT, 1, 1 << 63))]), "names"),
    (gguf([ARCHITECTURE, number("general.alignment", 0)]), "power of two"),
    (gguf([ARCHITECTURE, number("general.alignment", 24)]), "power of two"),
    (gguf([ARCHITECTURE, number("llama.block_count", 1 << 31)]), "no number from 0 to 4096"),
    (gguf([ARCHITECTURE, value("llama.block_count", TEXT, text("4"))]), "no number"),
    (gguf(rows=[row("a", [8], 0, 8)], data=64), "not aligned"),
    (gguf(rows=[row("a", [8]), row("a", [8], 0, 32)], data=64), "comes twice"),
    (gguf(rows=[row("a", [16]), row("b", [8], 0, 32)], data=96), "share the bytes"),
    (gguf(rows=[row("a", [1] * 5)], data=64), "5 dimensions"),
    (gguf(rows=[row("a", [1 << 32, 1 << 31])], data=64), "impossible shape"),
    (gguf(rows=[row("a", [(1 << 64) - 1])], data=64), "impossible shape"),
    (gguf(rows=[row("a", [4, 0])], data=64), "impossible shape"),
    (gguf(rows=[row("a", [8], 4)], data=64), "unknown type 4"),
    (gguf(rows=[row("a", [40], 8)], data=64), "no whole blocks of Q8_0"),
    (gguf(rows=[row("a" * 300, [8])], data=64), "longer than 256"),
)
def test_what_is_wrong_is_said(data: bytes, why: str) -> None:
    assert why in refusal("gguf", data)


def test_numbers_in_a_file_reserve_no_memory() -> None:
    hostile = [
        gguf(counts=(1 << 60, 1 << 60)),
        gguf([value("a", ARRAY, struct.pack("<IQ", 10, 1 << 60))]),
        gguf([value("a", TEXT, struct.pack("<Q", 1 << 60))]),
        gguf(rows=[row("a", [1 << 62])], data=64),
    ]
    tracemalloc.start()
    for data in hostile:
        refusal("gguf", data)
    assert tracemalloc.get_traced_memory()[1] < MEGABYTE
    tracemalloc.stop()


def test_a_large_file_costs_no_more_than_its_header(tmp_path: Path) -> None:
    path = tmp_path / "large.gguf"
    with path.open("wb") as file:
        head = gguf(LLAMA, [row("a", [4096, 1 << 20], 1)])
        file.write(head)
        file.truncate(len(head) + (8 << 30))
    tracemalloc.start()
    header = read_header(path, "gguf")
    assert tracemalloc.get_traced_memory()[1] < 4 * MEGABYTE
    tracemalloc.stop()
    assert header.tensor_bytes == 8 << 30


def shards(folder: Path, count: int = 2) -> Path:
    split = [value("split.count", 2, struct.pack("<H", count)), number("split.tensors.count", 2)]
    for index, name in enumerate(["a", "b"], 1):
        data = gguf([ARCHITECTURE, *split], [row(name, [8])], 32)
        (folder / f"m-{index:05}-of-{count:05}.gguf").write_bytes(data)
    return folder / f"m-00001-of-{count:05}.gguf"


def test_a_model_in_several_files_is_read_whole(tmp_path: Path) -> None:
    header = read_header(shards(tmp_path), "gguf")
    assert (header.tensors, header.tensor_bytes, header.details["files"]) == (2, 64, "2")


def test_a_model_in_several_files_lacks_none_of_them(tmp_path: Path) -> None:
    first = shards(tmp_path)
    second = tmp_path / "m-00002-of-00002.gguf"
    with pytest.raises(InvalidInputError, match="give the first"):
        read_header(second, "gguf")
    second.write_bytes(gguf())
    with pytest.raises(InvalidInputError, match="hold 1 tensors, not 2"):
        read_header(first, "gguf")
    second.write_bytes(first.read_bytes())
    with pytest.raises(InvalidInputError, match="comes twice"):
        read_header(first, "gguf")
    second.unlink()
    with pytest.raises(NotFoundError):
        read_header(first, "gguf")


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(sorted(TYPES)), st.lists(st.integers(1, 9), min_size=1, max_size=4)
        ),
        max_size=8,
    )
)
def test_tensors_add_up(tensors: list[tuple[int, list[int]]]) -> None:
    rows, parameters, size, free = [], 0, 0, 0
    for index, (code, (first, *others)) in enumerate(tensors):
        kind = TYPES[code]
        shape = [first * kind.block_numbers, *others]
        blocks = first
        for extent in others:
            blocks *= extent
        rows.append(row(f"t{index}", shape, code, free))
        parameters += blocks * kind.block_numbers
        size += blocks * kind.block_bytes
        free += blocks * kind.block_bytes + -(blocks * kind.block_bytes) % 32
    header = read("gguf", gguf(rows=rows, data=free))
    assert (header.parameters, header.tensor_bytes, header.tensors) == (
        parameters,
        size,
        len(tensors),
    )
