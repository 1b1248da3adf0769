"""Whatever bytes arrive: typed errors, nothing else; and what was put in comes out."""

import gzip
import zlib
from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import TypeVar

import msgspec
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from sensorium_testing import Lines, Times, Token, count, inline, lines

from sensorium.core.codec import coerce, decode_request, split_lines, validate
from sensorium.core.compression import decompress
from sensorium.core.dispatch import Encoded
from sensorium.core.errors import (
    CODES,
    ErrorBody,
    InvalidInputError,
    PayloadTooLargeError,
    SensoriumError,
    from_body,
)
from sensorium.core.forms import parse
from sensorium.core.operation import operation_of
from sensorium.workers.frames import PIECE, Frame, Parser, pack

T = TypeVar("T")
LIMIT = 1 << 16
MEDIA_TYPES = st.sampled_from(
    [
        *("", "application/json", "text/plain", "application/x-ndjson", "image/png"),
        *("multipart/form-data; boundary=b", "multipart/form-data", ";;;", "a/b+json"),
        "application/x-www-form-urlencoded",
    ]
)
ENCODINGS = st.sampled_from(["", "identity", "gzip", "deflate", "zstd", "br"])


def cut(data: bytes, at: Iterable[int]) -> list[bytes]:
    """The bytes in pieces."""
    marks = sorted({0, len(data), *(each % (len(data) + 1) for each in at)})
    return [data[start:end] for start, end in pairwise(marks)]


def attempt(action: Callable[[], T]) -> tuple[T | None, SensoriumError | None]:
    """What it returns, or the typed error that it raises; any other gets out."""
    try:
        return action(), None
    except SensoriumError as error:
        return None, error


@given(
    st.lists(st.tuples(st.sampled_from(Frame), st.integers(0, 2**32 - 1), st.binary(max_size=300))),
    st.lists(st.integers(0, 10_000)),
)
def test_frames_come_out_as_they_went_in_however_they_are_cut(
    frames: list[tuple[Frame, int, bytes]], marks: list[int]
) -> None:
    wire = b"".join(pack(*frame) for frame in frames)
    parser = Parser()
    heard = [frame for piece in cut(wire, marks) for frame in parser.feed(piece)]
    assert heard == frames


def test_a_large_frame_arrives_in_one_piece() -> None:
    parser = Parser()
    wire = pack(Frame.PIECE, 1, bytes(PIECE))
    heard = [frame for piece in cut(wire, range(0, len(wire), 999)) for frame in parser.feed(piece)]
    assert heard == [(Frame.PIECE, 1, bytes(PIECE))]


@given(
    st.binary(max_size=400) | st.text(max_size=100).map(str.encode),
    MEDIA_TYPES,
    ENCODINGS,
    st.dictionaries(st.sampled_from(["lines", "beside", "token", "lines_from", "x"]), st.text()),
    st.sampled_from([operation_of(inline), operation_of(lines), operation_of(count)]),
)
def test_any_body_is_a_request_or_a_typed_error(
    body: bytes, media_type: str, encoding: str, beside: dict[str, str], operation: object
) -> None:
    payload = Encoded(body, len(body), media_type, encoding, beside)
    request, error = attempt(lambda: decode_request(operation, payload, LIMIT))  # type: ignore[arg-type]
    if error is None:
        assert validate(request) == request
    else:
        assert error.code in CODES
        assert error.code != "internal"


@given(st.lists(st.text().filter(lambda line: "\n" not in line and not line.endswith("\r"))))
def test_lines_come_out_as_they_went_in(given_lines: list[str]) -> None:
    for end in ("\n", "\r\n"):
        body = "".join(line + end for line in given_lines).encode("utf-8", "surrogatepass")
        if b"\r\n" not in "".join(given_lines).encode("utf-8", "surrogatepass"):
            assert split_lines(body) == given_lines


@given(st.binary(max_size=5_000), st.sampled_from(["gzip", "deflate", "zstd"]))
def test_what_was_compressed_unfolds(data: bytes, encoding: str) -> None:
    packed = {"gzip": gzip.compress, "deflate": zlib.compress, "zstd": zstandard.compress}
    body = packed[encoding](data)
    assert decompress(body, encoding, LIMIT) == data
    if data:
        with pytest.raises(PayloadTooLargeError):
            decompress(body, encoding, len(data) - 1)
    with pytest.raises(InvalidInputError):
        decompress(body[:-1], encoding, LIMIT)


@given(st.lists(st.binary(max_size=200), min_size=1), st.sampled_from(["gzip", "zstd"]))
def test_several_members_are_one_body(pieces: list[bytes], encoding: str) -> None:
    packed = {"gzip": gzip.compress, "zstd": zstandard.compress}
    body = b"".join(packed[encoding](piece) for piece in pieces)
    assert decompress(body, encoding, LIMIT) == b"".join(pieces)


@given(st.binary(max_size=300), st.sampled_from(["gzip", "deflate", "zstd", "br", "?"]))
def test_any_compressed_body_unfolds_or_is_a_typed_error(body: bytes, encoding: str) -> None:
    unfolded, error = attempt(lambda: decompress(body, encoding, LIMIT))
    assert len(unfolded or b"") <= LIMIT
    assert error is None or error.code != "internal"


@given(st.binary(max_size=400), st.text(max_size=40))
def test_any_form_has_parts_or_is_a_typed_error(body: bytes, parameters: str) -> None:
    for given_parameters in (parameters, "boundary=b"):
        parts, error = attempt(lambda given=given_parameters: parse(b"--b\r\n" + body, given))
        assert error is None or error.code == "invalid_input"
        assert all(isinstance(content, bytes) for _, _, content in parts or [])


@given(st.text(), st.booleans(), st.floats(0, 600))
def test_a_query_string_carries_any_value(token: str, as_json: bool, seconds: float) -> None:
    text = repr(seconds)
    values = coerce(Token, {"token": token, "seconds": text})
    assert values == {"token": token, "seconds": seconds}
    if as_json:
        assert coerce(Lines, {"lines": msgspec.json.encode([token]).decode()})["lines"] == [token]


@given(st.text(), st.text())
def test_an_unknown_or_unfit_field_is_named(name: str, text: str) -> None:
    values, error = attempt(lambda: coerce(Times, {name: text}))
    if error is None:
        assert values is not None
        assert set(values) == {name}
    else:
        assert error.details.get("at") == f"$.{name}" or name[:80] in error.message


@given(
    st.sampled_from(CODES),
    st.text(),
    st.dictionaries(st.text(), st.integers() | st.text()),
    st.none() | st.floats(0, 1e6),
)
def test_an_error_survives_its_way_through_a_process(
    code: str, message: str, details: dict[str, object], after: float | None
) -> None:
    body = ErrorBody(code=code, message=message, details=details, retry_after_s=after)
    wire = msgspec.json.encode(body)
    error = from_body(msgspec.json.decode(wire, type=ErrorBody))
    assert error.code == code
    if message and not details.get("malformed"):
        assert error.body() == body
