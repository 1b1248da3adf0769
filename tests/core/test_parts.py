"""Long messages in parts, and whole again."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensorium.core.errors import MalformedInputError, PayloadTooLargeError
from sensorium.transports.parts import Joiner, parts_of

IDS = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.text(max_size=128).filter(lambda text: len(json.dumps(text)) < 200),
)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=3000)


def message_of(number: object, text: str) -> bytes:
    return json.dumps({"id": number, "data": text}, separators=(",", ":")).encode()


@given(IDS, TEXTS, st.integers(500, 4000))
def test_a_message_is_the_same_after_its_parts(number: object, text: str, most: int) -> None:
    message = message_of(number, text)
    frames = list(parts_of(message, most))
    assert all(len(frame) <= most for frame in frames)
    assert (len(frames) == 1) == (len(message) <= most)
    joiner = Joiner(1 << 20)
    *before, whole = [joiner.add(frame) for frame in frames]
    assert before == [None] * len(before)
    assert whole == message
    if before:
        assert all(json.loads(frame)["id"] == number for frame in frames)
        assert joiner.call_id == number


def test_a_message_that_is_too_long_is_refused_with_its_last_part_and_the_next_is_taken() -> None:
    frames = list(parts_of(message_of("a", "x" * 10_000), 1000))
    joiner = Joiner(5000)
    assert [joiner.add(frame) for frame in frames[:-1]] == [None] * (len(frames) - 1)
    with pytest.raises(PayloadTooLargeError):
        joiner.add(frames[-1])
    assert joiner.call_id == "a"
    assert joiner.add(b'{"id":1}') == b'{"id":1}'


@pytest.mark.parametrize(
    ("between", "whose"), [(b'{"id":2,"op":"a.b"}', 2), (b'{"id":3,"part":"x","more":false}', 3)]
)
def test_what_comes_between_the_parts_of_another_is_refused(between: bytes, whose: int) -> None:
    first, *_ = parts_of(message_of(1, "x" * 5000), 1000)
    joiner = Joiner(10_000)
    assert joiner.add(first) is None
    with pytest.raises(MalformedInputError, match="between the parts"):
        joiner.add(between)
    assert joiner.call_id == whose
    assert joiner.add(b'{"id":4}') == b'{"id":4}'
