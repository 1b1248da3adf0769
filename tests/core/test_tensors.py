"""Tensors as they travel, and as arrays."""

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from sensorium.core.arrays import (
    DTYPES,
    bf16_to_float32,
    float32_to_bf16,
    to_array,
    to_tensor,
)
from sensorium.core.tensors import Tensor, unpack_bytes

SHAPES = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)


@given(st.sampled_from(list(DTYPES)).flatmap(lambda d: hnp.arrays(DTYPES[d], SHAPES)))
def test_an_array_comes_back_the_same(array):
    tensor = to_tensor("x", array)
    for form in (msgspec.json, msgspec.msgpack):
        again = form.decode(form.encode(tensor), type=Tensor)
        back = to_array(again)
        assert back.dtype == array.dtype
        assert back.shape == array.shape
        assert back.tobytes() == array.tobytes()


@given(st.lists(st.binary(max_size=9), max_size=6))
def test_byte_strings_come_back_the_same(items):
    array = np.array([*items, None], dtype=object)[:-1]
    tensor = to_tensor("x", array)
    assert tensor.datatype == "BYTES"
    assert list(to_array(tensor)) == items


def test_nothing_is_copied_on_the_way():
    array = np.arange(6, dtype=np.float32)
    tensor = to_tensor("x", array)
    array[0] = 7
    assert to_array(tensor)[0] == 7


@pytest.mark.parametrize("datatype", ["INT8", "UINT64", "FP16", "BF16", "FP32", "FP64", "BOOL"])
def test_numbers_are_packed(datatype):
    tensor = Tensor(datatype=datatype, shape=[2, 1], values=[1, 0])
    array = to_array(tensor)
    if datatype == "BF16":
        array = bf16_to_float32(array)
    assert array.astype(float).tolist() == [[1.0], [0.0]]
    assert tensor.values == []


@given(hnp.arrays(np.float32, 5, elements=st.floats(width=32)))
def test_bfloat16_is_rounded_alike_with_and_without_numpy(array):
    packed = Tensor(datatype="BF16", shape=[5], values=array.tolist())
    assert to_array(packed).tolist() == float32_to_bf16(array).tolist()
    back = bf16_to_float32(to_array(packed))
    small = np.isfinite(array) & (np.abs(array) < 3e38)
    np.testing.assert_allclose(back[small], array[small], rtol=2**-8, atol=1e-38)
    assert np.isnan(back).tolist() == np.isnan(array).tolist()


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"datatype": "FP32", "shape": [3], "values": [1, 2]}, "shape"),
        ({"datatype": "FP32", "shape": [2], "data": b"123"}, "bytes"),
        ({"datatype": "FP32", "shape": [2**31 - 1] * 16, "data": b""}, "elements"),
        ({"datatype": "BYTES", "shape": [2**31 - 1], "data": b""}, "byte strings"),
        ({"datatype": "INT8", "shape": [1], "values": [300]}, "INT8"),
        ({"datatype": "INT8", "shape": [1], "values": [1.5]}, "whole"),
        ({"datatype": "UINT8", "shape": [1], "values": [-1]}, "UINT8"),
        ({"datatype": "INT64", "shape": [1], "values": [2.0**60]}, "2\\*\\*53"),
        ({"datatype": "BOOL", "shape": [1], "values": [2]}, "0 and 1"),
        ({"datatype": "FP16", "shape": [1], "values": [1e9]}, "FP16"),
        ({"datatype": "INT64", "shape": [1], "values": [float("inf")]}, "INT64"),
        ({"datatype": "FP32", "shape": [1], "strings": ["x"]}, "BYTES"),
        ({"datatype": "BYTES", "shape": [1], "values": [1]}, "strings or data"),
        ({"datatype": "FP32", "shape": [1], "values": [1], "data": b"1234"}, "only one"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_allocated(wrong, why):
    with pytest.raises(ValueError, match=why):
        Tensor(**wrong)


@given(st.binary(max_size=24), st.integers(0, 5))
def test_damaged_byte_strings_are_refused_or_read(data, elements):
    try:
        found = unpack_bytes(data, elements)
    except ValueError:
        return
    assert len(found) == elements
    assert sum(map(len, found)) + 4 * elements == len(data)
