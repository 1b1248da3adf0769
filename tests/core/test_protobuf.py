"""Structs as messages: whatever they hold comes back, and numbers are never given twice."""

import math
import tracemalloc
from typing import Any

import msgspec
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Struct

from sensorium.capabilities.metrics.operations import forecast
from sensorium.core.codec import PROTOBUF, decode_request
from sensorium.core.dispatch import Encoded
from sensorium.core.errors import InvalidInputError, MalformedInputError, UnavailableError
from sensorium.core.operation import operation_of
from sensorium.core.protobuf import codec, layout, lock, schema
from sensorium.core.protobuf.layout import NoMessageError
from sensorium.core.protobuf.lock import Lock, Numbers, StaleLockError
from tests.core.shapes import Box, Circle, Everything, shapes

OPERATION = operation_of(shapes)
PLAIN = st.text(max_size=8)


def numbered(*structs: type[Struct]) -> Lock:
    """A lock for these."""
    return Lock(
        messages={
            layout.message_name("shapes", each): lock.extended(Numbers(), layout.fields_of(each))
            for each in schema.structs_of(structs)
        }
    )


SHARED = Lock(
    messages={
        each.__name__: lock.extended(Numbers(), layout.fields_of(each))
        for each in codec.shared_structs()
    }
)
CODEC = codec.NounCodec("shapes", [OPERATION], numbered(Everything), SHARED)


def back(value: Everything) -> Everything:
    """There and back again."""
    values = CODEC.from_bytes(Everything, CODEC.to_bytes(value))
    return msgspec.convert(values, Everything, builtin_types=(bytes,))


def shape() -> st.SearchStrategy[Any]:
    circles = st.builds(Circle, radius=st.floats(-1e9, 1e9))
    boxes = st.builds(Box, sides=st.lists(st.floats(-1, 1), max_size=3), inside=st.none() | circles)
    return circles | boxes


EVERYTHING = st.builds(
    Everything,
    text=PLAIN,
    number=st.integers(-(2**63), 2**63 - 1),
    flag=st.booleans(),
    data=st.binary(max_size=8),
    maybe=st.none() | st.integers(0, 3),
    word=st.sampled_from(["one", "two words"]),
    shape=st.none() | shape(),
    shapes=st.lists(shape(), max_size=3),
    words=st.lists(st.sampled_from(["a", "b"]), max_size=3),
    values=st.lists(st.none() | st.floats(-1e9, 1e9), max_size=4),
    names=st.none() | st.lists(PLAIN, max_size=2),
    table=st.lists(st.lists(st.integers(0, 9), max_size=2), max_size=3),
    holes=st.lists(st.none() | st.lists(PLAIN, max_size=2), max_size=3),
    counts=st.dictionaries(PLAIN, st.integers(0, 9), max_size=2),
    circles=st.dictionaries(PLAIN, st.builds(Circle, radius=st.floats(0, 1)), max_size=2),
    lists=st.dictionaries(PLAIN, st.lists(PLAIN, max_size=2), max_size=2),
    free=st.none() | st.dictionaries(PLAIN, st.integers() | PLAIN, max_size=2),
    pairs=st.lists(PLAIN, max_size=2).map(tuple),
)


@given(EVERYTHING)
@settings(max_examples=150, deadline=None)
def test_whatever_a_struct_holds_comes_back(value: Everything) -> None:
    encode = msgspec.json.encode
    # A map has no order, on either side.
    assert msgspec.json.decode(encode(back(value))) == msgspec.json.decode(encode(value))


def test_what_is_left_out_is_its_default_and_a_required_field_is_asked_for() -> None:
    given = CODEC.from_bytes(Everything, CODEC.to_bytes(Everything(text="")))
    assert msgspec.convert(given, Everything, builtin_types=(bytes,)).number == 7
    with pytest.raises(msgspec.ValidationError, match="missing required field `text`"):
        msgspec.convert(CODEC.from_bytes(Everything, b""), Everything)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_numbers_that_are_none_are_refused_where_nothing_may_be_missing(bad: float) -> None:
    data = CODEC.to_bytes(Everything(text="", ratio=bad))
    with pytest.raises(InvalidInputError) as refused:
        CODEC.from_bytes(Everything, data)
    assert refused.value.details["at"] == "$.ratio"
    with pytest.raises(InvalidInputError):
        CODEC.from_bytes(Everything, CODEC.to_bytes(Everything(text="", values=[math.inf])))


def test_bytes_that_are_no_message_are_said_to_be_none() -> None:
    with pytest.raises(MalformedInputError):
        CODEC.from_bytes(Everything, b"\xff\xff\xff")


def test_bounds_are_kept_in_the_words_of_json() -> None:
    from sensorium.capabilities.logs.operations import cluster
    from sensorium.capabilities.logs.schema import ClusterRequest

    logs = operation_of(cluster)
    data = codec.codec_of(logs).to_bytes(ClusterRequest(lines=["a"], max_clusters=-1))
    with pytest.raises(InvalidInputError) as over_grpc:
        decode_request(logs, Encoded(data, media_type=PROTOBUF), 1000)
    with pytest.raises(InvalidInputError) as over_http:
        decode_request(logs, Encoded(b'{"lines": ["a"], "max_clusters": -1}'), 1000)
    assert over_grpc.value.message == over_http.value.message
    assert over_grpc.value.details == over_http.value.details


def test_too_many_items_are_refused_before_they_are_made() -> None:
    forecasting = operation_of(forecast)
    data = b"\x0a\x00" * 200_000  # empty series of two bytes each
    tracemalloc.start()
    with pytest.raises(InvalidInputError, match="length <= 100000") as refused:
        decode_request(forecasting, Encoded(data, media_type=PROTOBUF), 1 << 20)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert refused.value.details["at"] == "$.series"
    assert peak < 20 * len(data)


def test_numbers_stay_and_those_that_went_are_reserved() -> None:
    fields = {field.name: field for field in layout.fields_of(Everything)}
    first = lock.extended(Numbers(), [fields["text"], fields["number"], fields["word"]])
    assert first.fields == {"text": 1, "number": 2, "word": 3}
    second = lock.extended(first, [fields["word"], fields["flag"], fields["text"]])
    assert second.fields == {"text": 1, "word": 3, "flag": 4}
    assert second.reserved == [2]
    third = lock.extended(second, [fields[name] for name in ("text", "number", "word", "flag")])
    assert third.fields["number"] == 5


def test_a_changed_struct_is_refused_until_the_lock_is_made_again() -> None:
    numbers = numbered(Everything)
    del numbers.messages["ShapesEverything"].fields["flag"]
    with pytest.raises(StaleLockError, match="ShapesEverything"):
        codec.NounCodec("shapes", [OPERATION], numbers, SHARED)


def test_a_renumbered_or_doubled_field_is_seen() -> None:
    numbers = numbered(Everything)
    numbers.messages["ShapesEverything"].fields["flag"] = 1
    with pytest.raises(TypeError):
        codec.NounCodec("shapes", [OPERATION], numbers, SHARED)


def test_what_has_no_form_says_which_field_it_is() -> None:
    class Odd(Struct):
        either: int | str = 1

    with pytest.raises(NoMessageError, match=r"Odd\.either"):
        layout.fields_of(Odd)


def test_a_package_without_a_lock_says_how_to_make_it() -> None:
    with pytest.raises(UnavailableError, match=r"sensorium lock tests\.core"):
        codec.codec_of(OPERATION)


def test_messages_of_nouns_do_not_collide() -> None:
    file = FileDescriptorProto()
    file.CopyFrom(CODEC.files[1])
    assert {message.name for message in file.message_type} == {
        "ShapesEverything",
        "ShapesCircle",
        "ShapesBox",
    }
