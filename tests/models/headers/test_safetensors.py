"""safetensors headers: what real files tell, and each way in which a file may be wrong."""

import struct
import tracemalloc
from math import prod

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sensorium.models.headers.reading import read_header
from sensorium.models.headers.safetensors import BITS
from tests.models.headers.building import (
    TINYLM,
    cases,
    entry,
    needs_tinylm,
    read,
    refusal,
    safetensors,
)


def raw(header: bytes, data: int = 0) -> bytes:
    return struct.pack("<Q", len(header)) + header + bytes(data)


@needs_tinylm
def test_tinylm_tells_what_it_is() -> None:
    header = read_header(TINYLM / "hf-f16" / "model.safetensors", "transformers")
    assert (header.parameters, header.tensor_bytes, header.tensors) == (2_885_888, 5_771_776, 38)
    assert header.quantisation == "F16"
    assert header.details == {"format": "pt"}


def test_metadata_may_be_there_or_not() -> None:
    told = {"__metadata__": {"format": "np", "license": "mit"}, "a": entry("U8", [3], 0, 3)}
    assert read("transformers", safetensors(told, 3)).details == {"format": "np", "license": "mit"}
    assert read("transformers", safetensors({}, 0)).tensors == 0


@cases(
    (b"", "too short"),
    (struct.pack("<Q", 1 << 63), "longer than 100000000"),
    (struct.pack("<Q", 99_000_000) + b"{}", "names 99000000 bytes"),
    (raw(b""), "does not begin with {"),
    (raw(b"[]"), "does not begin with {"),
    (raw(b"{"), "its header is malformed"),
    (raw(b'{"a":{"x":' + b"[" * 100_000), "nested too deeply"),
    (raw(b'{"a":{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}}"), "nested too deeply"),
    (raw(b'{"a":{},' * 200_000), "more than 65536 tensors"),
    (raw(b'{"\xff":{}}'), "malformed"),
    (raw(b'{"a":3}'), "malformed"),
    (raw(b'{"a":{}}'), "missing or too long"),
    (
        raw(b'{"a":{"dtype":"U8","shape":[' + b"1," * 1000 + b'1],"data_offsets":[0,1]}}', 1),
        "missing or too long",
    ),
    (safetensors({"__metadata__": {"a": 1}}, 0), "its metadata is malformed"),
    (safetensors({"a": entry("F7", [1], 0, 1)}, 1), "unknown dtype 'F7'"),
    (safetensors({"a": entry("U8", [-1], 0, 1)}, 1), "impossible shape"),
    (safetensors({"a": entry("U8", [1 << 32, 1 << 31], 0, 1)}, 1), "impossible shape"),
    (safetensors({"a": entry("U8", [1 << 70], 0, 1)}, 1), "impossible shape"),
    (safetensors({"a": entry("U8", [2], 0, 1)}, 1), "has 1 bytes, but 2 numbers of U8"),
    (safetensors({"a": entry("F4", [3], 0, 1)}, 1), "has 1 bytes, but 3 numbers of F4"),
    (safetensors({"a": entry("U8", [1], 1, 0)}, 1), "has -1 bytes"),
    (safetensors({"a": entry("U8", [1], -1, 0)}, 1), "share bytes"),
    (
        safetensors({"a": entry("U8", [4], 0, 4), "b": entry("U8", [4], 2, 6)}, 6),
        "share bytes at offset 2",
    ),
    (
        safetensors({"a": entry("U8", [4], 0, 4), "b": entry("U8", [4], 5, 9)}, 9),
        "leave a gap at offset 4",
    ),
    (safetensors({"a": entry("U8", [1 << 40], 0, 1 << 40)}, 8), "but the file has 8"),
    (safetensors({"a": entry("U8", [4], 0, 4)}, 5), "but the file has 5"),
    (safetensors({"a" * 600: entry("U8", [1], 0, 1)}, 1), "is longer than 512"),
)
def test_what_is_wrong_is_said(data: bytes, why: str) -> None:
    assert why in refusal("transformers", data)


@pytest.mark.parametrize(
    "header",
    [
        b'{"a":{"shape":[' + b"1," * 4_000_000 + b"1]}}",
        b'{"__metadata__":{' + b'"a":"b",' * 1_000_000 + b'"a":"b"}}',
        b'{"a":{},' * 1_000_000,
    ],
)
def test_a_long_header_is_not_built_before_it_is_counted(header: bytes) -> None:
    data = raw(header)
    tracemalloc.start()
    refusal("transformers", data)
    assert tracemalloc.get_traced_memory()[1] < 2 * len(data) + (16 << 20)
    tracemalloc.stop()


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(sorted(BITS)), st.lists(st.integers(0, 6), max_size=4)),
        max_size=8,
    )
)
def test_tensors_add_up(tensors: list[tuple[str, list[int]]]) -> None:
    entries, parameters, free = {}, 0, 0
    for index, (dtype, shape) in enumerate(tensors):
        whole = [8, *shape]
        end = free + prod(whole) * BITS[dtype] // 8
        entries[f"t{index}"] = entry(dtype, whole, free, end)
        parameters += prod(whole)
        free = end
    header = read("transformers", safetensors(entries, free))
    assert (header.parameters, header.tensor_bytes) == (parameters, free)
