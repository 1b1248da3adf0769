"""Values of any kind: their forms, their specs, and what becomes of one as another kind."""

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensorium.core.conversion import convert, fit
from sensorium.core.errors import InvalidInputError, PayloadTooLargeError
from sensorium.core.tensors import FLOATS, ITEM_SIZES, Tensor, pack_bytes
from sensorium.core.types import Audio, Image, Series
from sensorium.core.values import (
    INT64,
    KINDS,
    MAX_NESTING,
    STRUCTS,
    Spec,
    from_json,
    from_msgpack,
    kind_of,
    read_spec,
    size_of,
    to_json,
    to_msgpack,
    validate,
)

INTS = st.integers(-INT64, INT64 - 1)
FINITE = st.floats(allow_nan=False, allow_infinity=False)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
KEYS = TEXT | st.sampled_from(["$bytes", "$map", "$tensor", "$", "$$", "$anything"])


@st.composite
def tensors(draw: st.DrawFn) -> Tensor:
    shape = draw(st.lists(st.integers(0, 3), max_size=3))
    datatype = draw(st.sampled_from([*ITEM_SIZES, "BYTES"]))
    count = math.prod(shape)
    if datatype == "BYTES":
        items = draw(st.lists(st.binary(max_size=4), min_size=count, max_size=count))
        data = pack_bytes(items)
    else:
        size = count * ITEM_SIZES[datatype]
        data = draw(st.binary(min_size=size, max_size=size))
    return Tensor(name=draw(TEXT), datatype=datatype, shape=shape, data=data)


@st.composite
def images(draw: st.DrawFn) -> Image:
    width, height = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    form = draw(st.sampled_from(["rgb24", "gray8"]))
    size = width * height * (3 if form == "rgb24" else 1)
    data = draw(st.binary(min_size=size, max_size=size))
    at_s = draw(st.none() | st.floats(0, 1e6))
    return Image(width=width, height=height, format=form, data=data, at_s=at_s)


@st.composite
def sounds(draw: st.DrawFn) -> Audio:
    channels, samples = draw(st.integers(1, 3)), draw(st.integers(0, 4))
    size = 2 * channels * samples
    data = draw(st.binary(min_size=size, max_size=size))
    return Audio(rate_hz=draw(st.integers(1000, 48_000)), channels=channels, data=data)


SERIES = st.builds(
    Series,
    name=st.text(max_size=5),
    interval_s=st.none() | st.floats(0.1, 1e6),
    values=st.lists(st.none() | FINITE, max_size=5),
)
TYPED = st.one_of(tensors(), images(), sounds(), SERIES, st.binary(max_size=8))
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), INTS, FINITE, TEXT, TYPED),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=12,
)
SAMPLES = {
    "null": None,
    "bool": True,
    "int": 1,
    "float": 1.0,
    "text": "1",
    "bytes": b"1",
    "list": [1],
    "map": {"a": 1},
    "tensor": Tensor(datatype="FP32", shape=[1], values=[1]),
    "image": Image(width=1, height=1, data=b"abc"),
    "audio": Audio(rate_hz=8000, data=b"ab"),
    "series": Series(values=[1.0, None]),
}


@given(VALUES)
def test_json_and_msgpack_give_the_same_value_back(value):
    for write, read in ((to_json, from_json), (to_msgpack, from_msgpack)):
        again = read(write(value))
        assert again == value
        assert kind_of(again) == kind_of(value)
    assert size_of(value) > 0 or value in ("", b"")


@given(VALUES)
def test_what_json_has_words_for_is_written_as_it_is(value):
    plain = msgspec.json.decode(msgspec.json.encode(value))
    if b'"$' not in to_json(value):
        assert msgspec.json.decode(to_json(value)) == plain


def test_every_kind_is_written_with_its_name_where_json_has_no_word_for_it():
    assert tuple(SAMPLES) == KINDS
    written = {kind: to_json(value).decode() for kind, value in SAMPLES.items()}
    assert written["bytes"] == '{"$bytes":"MQ=="}'
    assert written["tensor"] == '{"$tensor":{"datatype":"FP32","shape":[1],"data":"AACAPw=="}}'
    assert all(f'"${kind}"' in written[kind] for kind in STRUCTS)
    assert to_json({"$bytes": 1}) == b'{"$map":{"$bytes":1}}'
    assert (
        from_json(b'{"$tensor":{"datatype":"FP32","shape":[1],"values":[1]}}') == SAMPLES["tensor"]
    )


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (2**63, "64 bits"),
        ([float("nan")], "finite"),
        ({"a": float("inf")}, "finite"),
        (object(), "object is no value"),
        ((1, 2), "tuple is no value"),
        ({1: 2}, "named by text"),
    ],
)
def test_what_is_no_value_is_not_written(value, why):
    for write in (to_json, to_msgpack):
        with pytest.raises(InvalidInputError, match=why):
            write(value)


def test_what_nests_too_deeply_is_refused_both_ways():
    deep: list = []
    for _ in range(MAX_NESTING + 1):
        deep = [deep]
    with pytest.raises(InvalidInputError, match="deep"):
        to_json(deep)
    for body in (b"[" * 70 + b"]" * 70, b"[" * 100_000 + b"]" * 100_000):
        with pytest.raises(InvalidInputError, match="deep"):
            from_json(body)
    with pytest.raises(InvalidInputError, match="deep"):
        from_msgpack(msgspec.msgpack.encode(deep))


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"{", "not JSON"),
        (b'"\xff"', "UTF-8"),
        (b"123456789012345678901234567890", "64 bits"),
        (b'{"$bytes": "?"}', "base64"),
        (b'{"$picture": {}}', "no kind"),
        (b'{"$map": 1}', "no kind"),
        (b'{"$image": {"width": 2, "height": 1, "data": "AAAA"}}', "6 bytes"),
        (b'{"$tensor": {"datatype": "FP32", "shape": [3], "data": ""}}', "12 bytes"),
        (b'{"$tensor": {"datatype": "FP32", "shape": [1], "dta": ""}}', "unknown field"),
        (b'{"$audio": []}', "object"),
    ],
)
def test_what_is_no_value_is_not_read(body, why):
    with pytest.raises(InvalidInputError, match=why):
        from_json(body)


@pytest.mark.parametrize("body", [b"\xc1", b"\xd6\xff\x00\x00\x00\x00", b"\x81\x01\x02", b"\x91"])
def test_what_is_no_value_is_not_read_from_msgpack(body):
    with pytest.raises(InvalidInputError):
        from_msgpack(body)


@pytest.mark.parametrize(
    "text", ["any", "text", "text?", "list[text]", "map[list[float?]]?", "list[image]"]
)
def test_a_spec_is_written_as_it_is_read(text):
    assert str(read_spec(text)) == text


@pytest.mark.parametrize(
    "text", ["", "string", "list[", "text[int]", "list[string]", "list[]", "a b"]
)
def test_what_is_no_spec_is_refused(text):
    with pytest.raises(InvalidInputError, match="kind"):
        read_spec(text)


# What becomes what, and back.


@given(st.booleans() | INTS | FINITE)
def test_what_json_spells_is_read_from_its_text(value):
    assert convert(convert(value, "text"), kind_of(value)) == value


@given(TEXT)
def test_text_and_bytes_are_each_other(value):
    assert convert(convert(value, "bytes"), "text") == value


@given(INTS)
def test_an_int_becomes_a_float_only_where_that_holds_it(value):
    try:
        found = convert(value, "float")
    except InvalidInputError:
        assert int(float(value)) != value
    else:
        assert convert(found, "int") == value


@given(FINITE)
def test_a_float_becomes_an_int_only_where_it_is_one(value):
    try:
        found = convert(value, "int")
    except InvalidInputError:
        assert not value.is_integer() or abs(value) >= INT64
    else:
        assert convert(found, "float") == value


RECTANGLES = st.tuples(
    st.lists(st.integers(1, 3), min_size=1, max_size=3),
    st.sampled_from([st.booleans(), INTS, FINITE, TEXT]),
).flatmap(lambda pair: nested(*pair))


def nested(shape, items):
    for extent in reversed(shape):
        items = st.lists(items, min_size=extent, max_size=extent)
    return items


@given(RECTANGLES)
def test_a_list_comes_back_from_its_tensor(value):
    tensor = convert(value, "tensor")
    assert convert(tensor, "list") == value
    assert convert(convert(tensor, "list"), "tensor") == tensor


@given(tensors())
def test_a_tensor_becomes_a_list_of_its_shape_or_says_why_not(tensor):
    try:
        found = convert(tensor, "list")
    except InvalidInputError:
        assert not tensor.shape or tensor.datatype in (*FLOATS, "UINT64")
        return
    shape = []
    while isinstance(found, list):
        shape.append(len(found))
        found = found[0] if found else None
    assert shape == tensor.shape[: len(shape)]


@given(st.booleans() | INTS | FINITE)
def test_a_single_value_comes_back_from_its_tensor(value):
    tensor = convert(value, "tensor")
    assert tensor.shape == []
    assert convert(tensor, kind_of(value)) == value


@given(images())
def test_a_picture_comes_back_from_its_tensor(image):
    again = convert(convert(image, "tensor"), "image")
    assert again == msgspec.structs.replace(image, at_s=None)


@given(sounds())
def test_a_sound_becomes_a_tensor_of_its_samples(audio):
    tensor = convert(audio, "tensor")
    assert (tensor.datatype, tensor.shape[1]) == ("INT16", audio.channels)
    assert bytes(tensor.data) == audio.data


@given(st.one_of(tensors(), images(), sounds(), SERIES))
def test_what_has_fields_comes_back_from_its_map(value):
    members = convert(value, "map")
    assert convert(members, kind_of(value)) == value
    # And so it does from JSON, where data are base64.
    again = msgspec.json.decode(msgspec.json.encode(members))
    assert convert(again, kind_of(value)) == value


POSSIBLE = {
    *((kind, kind) for kind in KINDS),
    *((kind, "map") for kind in STRUCTS),
    *((kind, "text") for kind in ("bool", "int", "float", "bytes")),
    *(("text", kind) for kind in ("int", "float", "bytes")),
    *((kind, "tensor") for kind in ("bool", "int", "float", "list", "image", "audio")),
    *(("tensor", kind) for kind in ("float", "list")),
    *(("bool", "int"), ("int", "bool"), ("int", "float"), ("float", "int")),
}


@pytest.mark.parametrize("now", KINDS)
@pytest.mark.parametrize("then", KINDS)
def test_what_becomes_what(now, then):
    if (now, then) in POSSIBLE:
        assert kind_of(convert(SAMPLES[now], then)) == then
    else:
        with pytest.raises(InvalidInputError):
            convert(SAMPLES[now], then)


@pytest.mark.parametrize(
    ("value", "kind", "why"),
    [
        (2, "bool", "0 and 1"),
        (1.5, "int", "whole"),
        (1e300, "int", "whole"),
        (2**53 + 1, "float", "exactly"),
        ("1.5", "int", "int"),
        ("99999999999999999999", "int", "64 bits"),
        ("yes", "bool", "bool"),
        (b"\xff", "text", "UTF-8"),
        ([[1], [1, 2]], "tensor", "one length"),
        ([1, "a"], "tensor", "not all"),
        ([1, None], "tensor", "not all"),
        ([[1], 2], "tensor", "not all"),
        ([1.5, 2**53 + 1], "tensor", "exactly"),
        (Tensor(datatype="FP32", shape=[1], data=b"\0\0\xc0\x7f"), "list", "finite"),
        (Tensor(datatype="UINT64", shape=[1], data=b"\xff" * 8), "list", "64 bits"),
        (Tensor(datatype="FP32", shape=[2], values=[1, 2]), "float", "2 elements"),
        (Tensor(datatype="FP32", shape=[1], values=[1]), "int", "FP32"),
        (Tensor(datatype="FP32", shape=[], values=[1]), "list", "single"),
        (Tensor(datatype="UINT8", shape=[1, 1, 4], values=[1] * 4), "image", "UINT8"),
        ({"values": [1], "vlues": []}, "series", "unknown field"),
    ],
)
def test_what_would_lose_something_is_refused(value, kind, why):
    with pytest.raises(InvalidInputError, match=why):
        convert(value, kind)


def test_a_large_tensor_is_not_listed():
    with pytest.raises(PayloadTooLargeError):
        convert(Tensor(datatype="UINT8", shape=[1 << 21], data=bytes(1 << 21)), "list")


def test_a_value_is_fitted_to_its_spec_inside_and_out():
    assert fit(["1", 2.0, True], read_spec("list[int]")) == [1, 2, 1]
    assert fit({"a": None}, read_spec("map[text?]")) == {"a": None}
    assert fit(None, read_spec("image?")) is None
    assert fit([{"values": [1.0]}], read_spec("list[series]")) == [Series(values=[1.0])]
    assert fit({"x": [1]}, Spec()) == {"x": [1]}


@pytest.mark.parametrize(
    ("value", "spec", "at"),
    [
        (["a", 1, None], "list[int]", "$[0]"),
        ({"a": [1, [2]]}, "map[list[int]]", "$.a[1]"),
        ("a", "list[text]", "$"),
        ([{"values": ["a"]}], "list[series]", "$[0].values[0]"),
    ],
)
def test_a_value_that_does_not_fit_says_where(value, spec, at):
    with pytest.raises(InvalidInputError) as refused:
        fit(value, read_spec(spec))
    assert refused.value.details == {"at": at}


def test_a_value_is_checked_against_a_struct():
    assert validate({"values": [1, None], "interval_s": 5}, Series).interval_s == 5.0
    assert validate({"width": 1, "height": 1, "data": b"abc"}, Image).data == b"abc"
    with pytest.raises(InvalidInputError) as refused:
        validate({"values": [1], "interval_s": 0}, Series)
    assert refused.value.details == {"at": "$.interval_s"}
