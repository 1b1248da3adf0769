"""The functions: what each gives, and that the list of them is closed and described."""

from collections import Counter

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensorium.capabilities.pipelines.functions import FUNCTIONS
from sensorium.capabilities.pipelines.running import apply
from sensorium.core.arrays import to_array, to_tensor
from sensorium.core.errors import InvalidInputError
from sensorium.core.loading import load
from sensorium.core.tensors import Tensor
from sensorium.core.types import Audio, Image


def given_by(name, **values):
    return apply(name, values).value(name)


def array_of(name, **values):
    return to_array(given_by(name, **values))


def picture(pixels, form="rgb24"):
    array = np.asarray(pixels, np.uint8)
    height, width = array.shape[:2]
    return Image(width=width, height=height, format=form, data=array.tobytes())


def pixels_of(image):
    channels = 3 if image.format == "rgb24" else 1
    return np.frombuffer(image.data, np.uint8).reshape(image.height, image.width, channels)


def test_each_is_there_and_says_what_it_does() -> None:
    for name, function in FUNCTIONS.items():
        assert callable(load(function.target)), name
        assert (function.request.__doc__ or "").strip(), name


@pytest.mark.parametrize(
    ("name", "values", "gives"),
    [
        ("take", {"value": [1, "b", None], "count": 2}, [1, "b"]),
        ("take", {"value": [1, 2, 3], "count": 5, "skip": 2}, [3]),
        ("take", {"value": [], "count": 5, "skip": 2}, []),
        ("flatten", {"value": [[1], [], [2, [3]]]}, [1, 2, [3]]),
        ("join", {"value": ["a", "b"], "separator": ", "}, "a, b"),
        ("join", {"value": []}, ""),
        ("length", {"value": [1, 2]}, 2),
        ("length", {"value": {"a": 1}}, 1),
        ("length", {"value": "häh"}, 3),
        ("first_of", {"value": [None, 0, 1]}, 0),
        ("first_of", {"value": [None]}, None),
        ("filter", {"value": [{"a": 1}, {"a": 2}, {}], "field": "a", "to": 2}, [{"a": 2}]),
        (
            "filter",
            {"value": [{"a": 1}, {"a": 2}, {}], "field": "a", "comparison": ">", "to": 0},
            [{"a": 1}, {"a": 2}],
        ),
        (
            "filter",
            {"value": [{"a": "x"}, {"a": "z"}], "field": "a", "comparison": "in", "to": ["x"]},
            [{"a": "x"}],
        ),
        ("convert", {"value": ["1", 2.0], "to": "list[int]"}, [1, 2]),
        ("convert", {"value": "häh", "to": "bytes"}, "häh".encode()),
        ("argmax", {"value": [1, 5, 5, 2]}, 1),
        ("argmax", {"value": [[1, 2], [4, 3]]}, [1, 0]),
        ("argmax", {"value": [[1, 2], [4, 3]], "axis": 0}, [1, 1]),
        (
            "top_k",
            {"value": [[0.1, 0.7, 0.7, 0.2]], "k": 3, "labels": ["a", "b", "c"]},
            [
                {"index": 1, "score": 0.7, "label": "b"},
                {"index": 2, "score": 0.7, "label": "c"},
                {"index": 3, "score": 0.2, "label": ""},
            ],
        ),
        ("top_k", {"value": [1], "k": 3}, [{"index": 0, "score": 1.0, "label": ""}]),
    ],
)
def test_what_it_gives(name, values, gives) -> None:
    assert given_by(name, **values) == gives


@given(
    st.lists(st.integers(-1, 4), max_size=60),
    st.integers(0, 4),
    st.integers(1, 20),
    st.integers(0, 4),
)
def test_counts_per_window_are_those_of_counting(numbers, names, window, least) -> None:
    named = [f"n{number}" for number in range(names)]
    found = given_by("count_per_window", value=numbers, names=named, window=window, least=least)
    full = [numbers[at : at + window] for at in range(0, len(numbers) - window + 1, window)]
    expected = {
        name: [float(Counter(part)[number]) for part in full] for number, name in enumerate(named)
    }
    kept = {name: row for name, row in expected.items() if max(row, default=0) >= least}
    assert found == [{"name": name, "values": row} for name, row in kept.items()]


@pytest.mark.parametrize(
    ("name", "values", "why"),
    [
        ("take", {"value": "abc", "count": 1}, "take: Expected `array`"),
        ("take", {"value": [1]}, "count"),
        ("flatten", {"value": [1]}, "Expected `array`"),
        ("join", {"value": ["a", 1]}, "Expected `str`"),
        ("filter", {"value": [{"a": "x"}], "field": "a", "comparison": ">", "to": 1}, "compares"),
        ("count_per_window", {"value": [1.5], "names": [], "window": 1}, "Expected `int`"),
        (
            "count_per_window",
            {"value": [0] * 2000, "names": ["n"] * 1000, "window": 1},
            "fewer names",
        ),
        ("convert", {"value": 1.5, "to": "int"}, "whole"),
        ("convert", {"value": 1.5, "to": "number"}, "no kind 'number'"),
        ("softmax", {"value": []}, "no scores"),
        ("softmax", {"value": [1], "axis": 3}, "axis"),
        ("softmax", {"value": ["a"]}, "text"),
        ("argmax", {"value": []}, "no scores"),
        ("top_k", {"value": [[1], [2]]}, "one row"),
        ("top_k", {"value": 5}, "one row"),
        ("top_k", {"value": [1], "k": 0}, ">= 1"),
        ("normalise", {"value": [1], "deviation": 0}, "deviation is 0"),
        ("normalise", {"value": [[1, 2]], "mean": [1, 2, 3]}, "has 2, not 3"),
        ("normalise", {"value": [1], "mean": [1, 2], "axis": 3}, "no axis 3"),
        ("to_tensor", {"value": [1.5], "datatype": "INT8"}, "not every element"),
        ("to_tensor", {"value": [300], "datatype": "UINT8"}, "not every element"),
        ("to_tensor", {"value": [-1], "datatype": "UINT64"}, "not every element"),
        ("to_tensor", {"value": [1, 2], "shape": [3]}, "reshape"),
        ("to_tensor", {"value": ["a"], "datatype": "FP32"}, "BYTES is not made FP32"),
        ("to_tensor", {"value": {"a": 1}}, "Object|unknown|field"),
        ("to_tensor", {"value": [1], "layout": "nchw"}, "for pictures"),
        ("resize", {"value": 5, "width": 1, "height": 1}, "an int does not become an image"),
        ("resize", {"value": picture([[[1, 2, 3]]]), "width": 16384, "height": 16384}, "pixels"),
        ("letterbox", {"value": picture([[[1, 2, 3]]]), "width": 16384, "height": 1000}, "pixels"),
        ("resize", {"value": picture([[[1, 2, 3]]]), "width": 0, "height": 1}, ">= 1"),
    ],
)
def test_what_it_does_not_take(name, values, why) -> None:
    with pytest.raises(InvalidInputError, match=why):
        given_by(name, **values)


SCORES = st.lists(st.floats(-1e4, 1e4, width=32), min_size=1, max_size=8)


@given(SCORES)
def test_softmax_gives_shares(scores) -> None:
    found = array_of("softmax", value=scores)
    assert np.isclose(found.sum(), 1)
    assert (found >= 0).all()
    assert found.argmax() == int(np.argmax(scores)) or np.isclose(
        found.max(), found[np.argmax(scores)]
    )


def test_softmax_keeps_its_axis_and_its_width() -> None:
    rows = to_tensor("x", np.log(np.array([[1, 3], [1, 1]], np.float32)))
    np.testing.assert_allclose(array_of("softmax", value=rows), [[0.25, 0.75], [0.5, 0.5]], 1e-6)
    np.testing.assert_allclose(array_of("softmax", value=rows, axis=0)[:, 0], [0.5, 0.5], 1e-6)
    assert array_of("softmax", value=rows).dtype == np.float32
    assert array_of("softmax", value=[0.0, 1.0]).dtype == np.float64
    bf16 = Tensor(datatype="BF16", shape=[2], values=[0, 0])
    assert array_of("softmax", value=bf16).tolist() == [0.5, 0.5]


def test_normalise_scales_then_shifts_along_its_axis() -> None:
    value = to_tensor("x", np.full((1, 3, 2, 2), 255, np.uint8))
    found = array_of(
        "normalise", value=value, scale=1 / 255, mean=[0.0, 0.5, 1.0], deviation=[1.0, 0.5, 2.0]
    )
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[0, :, 0, 0], [1.0, 1.0, 0.0], atol=1e-6)
    np.testing.assert_allclose(array_of("normalise", value=[4.0], mean=2, deviation=4), [0.5])


def test_to_tensor_makes_what_a_model_takes() -> None:
    image = picture(np.arange(12).reshape(2, 2, 3))
    batch = given_by("to_tensor", value=image, layout="nchw", datatype="FP32")
    assert (batch.datatype, batch.shape) == ("FP32", [1, 3, 2, 2])
    assert to_array(batch)[0, :, 0, 1].tolist() == [3, 4, 5]
    assert array_of("to_tensor", value=image, layout="nhwc").shape == (1, 2, 2, 3)
    gray = picture([[1, 2]], "gray8")
    assert array_of("to_tensor", value=gray, layout="nchw").shape == (1, 1, 1, 2)
    row = given_by("to_tensor", value=[1, 2, 3, 4], datatype="FP16", shape=[1, -1])
    assert (row.datatype, row.shape) == ("FP16", [1, 4])
    assert given_by("to_tensor", value=[1.5], datatype="BF16").datatype == "BF16"
    assert given_by("to_tensor", value=["a", "b"], shape=[2, 1]).shape == [2, 1]
    assert given_by("to_tensor", value=True).datatype == "BOOL"
    sound = Audio(rate_hz=8000, data=b"\x01\x00\x02\x00")
    assert array_of("to_tensor", value=sound, datatype="FP32").tolist() == [[1.0], [2.0]]
    # As JSON has them, from an operation's answer.
    plain = msgspec.json.decode(msgspec.json.encode(batch))
    assert given_by("to_tensor", value=plain) == msgspec.structs.replace(batch, name="")


def test_resize_is_bilinear() -> None:
    ramp = picture([[[0] * 3, [100] * 3]])
    assert pixels_of(given_by("resize", value=ramp, width=4, height=1))[0, :, 0].tolist() == [
        0, 25, 75, 100,
    ]  # fmt: skip
    checks = picture(np.indices((4, 4)).sum(0)[..., None] % 2 * 200, "gray8")
    assert (
        pixels_of(given_by("resize", value=checks, width=2, height=2)).ravel().tolist() == [100] * 4
    )
    flat = picture(np.full((5, 7, 3), 9))
    made = given_by("resize", value=flat, width=3, height=11)
    assert (made.width, made.height, set(made.data)) == (3, 11, {9})
    same = picture(np.random.default_rng(1).integers(0, 255, (6, 5, 3)))
    assert given_by("resize", value=same, width=5, height=6) == same


def test_a_letterbox_keeps_proportions_and_fills_the_rest() -> None:
    wide = picture(np.full((2, 4, 3), 200))
    made = pixels_of(given_by("letterbox", value=wide, width=8, height=8, fill=7))
    assert made.shape == (8, 8, 3)
    assert (made[2:6] == 200).all()
    assert (made[:2] == 7).all()
    assert (made[6:] == 7).all()
    assert (pixels_of(given_by("letterbox", value=wide, width=4, height=2)) == 200).all()


def test_a_picture_that_json_holds_is_one() -> None:
    plain = msgspec.json.decode(msgspec.json.encode(picture([[[1, 2, 3]]])))
    assert given_by("resize", value=plain, width=2, height=1).data == bytes([1, 2, 3] * 2)
