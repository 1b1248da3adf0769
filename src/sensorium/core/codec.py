"""From bytes to a validated request Struct, and back; runs wherever the operation runs.

Everything here is bounded: what a body may decompress to, how deep JSON may nest (msgspec stops
at the interpreter's recursion limit), how many parts a form may have.
"""

import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, TypeVar, get_args

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import fields as struct_fields

from sensorium.core.dispatch import Encoded
from sensorium.core.errors import (
    InvalidInputError,
    MalformedInputError,
    SensoriumError,
)
from sensorium.core.loading import load
from sensorium.core.operation import Operation

S = TypeVar("S", bound=Struct)
PROTOBUF = "application/x-protobuf"
LINES_FROM = "lines_from"
"""The query parameter that names the member of NDJSON objects that holds the line."""
FORM = "application/x-www-form-urlencoded"
"""What `curl -d` says of any body when it is not told better; a JSON object is taken for one."""
_reader = cache(load)
_AT = re.compile(r" - at (?P<key>`key` in )?`(?P<place>[^`]+)`$")
"""Where msgspec says that something is wrong: a member, or one of an object's names for them."""


def decode_request(operation: Operation, payload: Encoded, max_bytes: int) -> Struct:
    """The request that an encoded payload holds, validated.

    `payload.body` must be bytes here. `max_bytes` bounds what it may decompress to.

    Raises:
        MalformedInputError: it is not in the format that it says it is in.
        InvalidInputError: it is, but does not fit the operation's request.
        PayloadTooLargeError: it decompresses to more than `max_bytes`.
    """
    request: Struct = _decode_as(operation, operation.request, payload, max_bytes)
    return request


def decode_item(operation: Operation, payload: Encoded, max_bytes: int) -> Struct:
    """One item for an operation that listens; errors as for `decode_request`."""
    assert operation.incoming is not None
    item: Struct = _decode_as(operation, operation.incoming, payload, max_bytes)
    return item


def encode_answer(operation: Operation, value: Struct, media_type: str) -> bytes:
    """What an operation returned, in a form that its caller asked for: JSON or `PROTOBUF`."""
    if media_type != PROTOBUF:
        return msgspec.json.encode(value)
    encoded: bytes = load("sensorium.core.protobuf.codec:codec_of")(operation).to_bytes(value)
    return encoded


def validate(value: S) -> S:
    """Check a Struct made in Python as if it had come from a wire (bounds included).

    Raises:
        InvalidInputError: a field is out of bounds or of the wrong type.
    """
    try:
        return msgspec.convert(
            msgspec.to_builtins(value, builtin_types=(bytes, memoryview, msgspec.Raw)),
            type(value),
            builtin_types=(bytes,),
        )
    except (msgspec.ValidationError, RecursionError, TypeError) as error:
        raise explained(error) from None


def coerce(kind: type[Struct], texts: Mapping[str, str]) -> dict[str, Any]:
    """Field values given as text (a query string, a form), as the field's own types.

    A list takes commas. Raises `InvalidInputError` for an unknown field or a value that is none.
    """
    known = {field.encode_name: field.type for field in struct_fields(kind)}
    values: dict[str, Any] = {}
    for name, text in texts.items():
        if name not in known:
            raise InvalidInputError(f"Object contains unknown field `{name[:80]}`")
        values[name] = _from_text(name, text, known[name])
    return values


@cache
def raw_fields(kind: type[Struct]) -> frozenset[str]:
    """The fields of a Struct that hold any JSON, as it came."""
    return frozenset(
        field.name for field in struct_fields(kind) if Raw in (field.type, *get_args(field.type))
    )


def split_lines(body: bytes | bytearray) -> list[str]:
    """The lines of a text: without line ends, and without an empty last one."""
    lines = body.decode("utf-8", "replace").replace("\r\n", "\n").split("\n")
    if lines and not lines[-1]:
        lines.pop()
    return lines


def _decode(kind: type[Struct], payload: Encoded, max_bytes: int, lines_field: str | None) -> Any:
    body = _unfolded(payload, max_bytes)
    media_type, _, parameters = payload.media_type.partition(";")
    media_type = media_type.strip().lower()
    beside = dict(payload.fields)
    lines_from = beside.pop(LINES_FROM, "")
    try:
        if media_type in ("", "application/json") or media_type.endswith("+json"):
            return _from_json(kind, body, beside)
        if media_type == FORM and body.lstrip()[:1] == b"{":
            return _from_json(kind, body, beside)
        if lines_field is None:
            raise MalformedInputError(f"this operation takes application/json, not {media_type}")
        match media_type:
            case "text/plain":
                values = {lines_field: split_lines(body)}
            case "application/x-ndjson" | "application/ndjson" | "application/jsonl":
                values = {lines_field: _ndjson_lines(body, lines_from)}
            case "multipart/form-data":
                values, texts = _from_form(body, parameters, lines_field)
                beside.update(texts)
            case _:
                raise MalformedInputError(
                    "this operation takes application/json, text/plain, application/x-ndjson or "
                    "multipart/form-data"
                )
        return msgspec.convert({**coerce(kind, beside), **values}, kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, OverflowError) as error:
        raise explained(error) from None


def _decode_as(operation: Operation, kind: type[Struct], payload: Encoded, limit: int) -> Any:
    if payload.media_type in operation.forms:
        return _read_form(operation.forms[payload.media_type].reader, payload, limit)
    if payload.media_type != PROTOBUF:
        return _decode(kind, payload, limit, operation.lines_field)
    codec = load("sensorium.core.protobuf.codec:codec_of")(operation)
    values = codec.from_bytes(kind, bytes(payload.body))  # type: ignore[arg-type]
    try:
        return msgspec.convert(values, kind, builtin_types=(bytes,))
    except (msgspec.MsgspecError, RecursionError, OverflowError) as error:
        raise explained(error) from None


def _read_form(reader: str, payload: Encoded, limit: int) -> Any:
    try:
        read: Struct = _reader(reader)(_unfolded(payload, limit), payload.fields)
        return validate(read)
    except (msgspec.MsgspecError, ValueError, RecursionError, OverflowError) as error:
        raise explained(error) from None


def _unfolded(payload: Encoded, max_bytes: int) -> bytes | bytearray:
    """The body, decompressed."""
    assert isinstance(payload.body, bytes | bytearray)
    if payload.content_encoding in ("", "identity"):
        return payload.body
    unfold = load("sensorium.core.compression:decompress")
    body: bytes = unfold(bytes(payload.body), payload.content_encoding, max_bytes)
    return body


def _from_json(kind: type[Struct], body: bytes | bytearray, beside: Mapping[str, str]) -> Any:
    if not beside:
        return msgspec.json.decode(body or b"{}", type=kind)
    whole = msgspec.json.decode(body or b"{}")
    if not isinstance(whole, dict):
        raise InvalidInputError("the body must be a JSON object")
    return msgspec.convert({**coerce(kind, beside), **whole}, kind)


def _ndjson_lines(body: bytes | bytearray, lines_from: str) -> list[str]:
    """One line per JSON value: a string is the line, an object's member or the whole object is."""
    lines: list[str] = []
    for raw in split_lines(body):
        value = msgspec.json.decode(raw) if raw.strip() else ""
        if isinstance(value, dict) and lines_from:
            value = value.get(lines_from, "")
        lines.append(value if isinstance(value, str) else raw)
    return lines


def _from_form(
    body: bytes | bytearray, parameters: str, lines_field: str
) -> tuple[dict[str, Any], dict[str, str]]:
    parts: list[tuple[str, bool, bytes]] = load("sensorium.core.forms:parse")(
        bytes(body), parameters
    )
    lines: list[str] = []
    texts: dict[str, str] = {}
    for name, is_file, content in parts:
        if is_file or name == lines_field:
            lines.extend(split_lines(content))
        else:
            texts[name] = content.decode("utf-8", "replace")
    return {lines_field: lines}, texts


def _from_text(name: str, text: str, kind: Any) -> Any:
    attempts: list[Callable[[], Any]] = [
        lambda: msgspec.convert(text, kind, strict=False),
        lambda: msgspec.json.decode(text, type=kind),
        lambda: msgspec.convert(text.split(","), kind, strict=False),
    ]
    problem: Exception | None = None
    for attempt in attempts:
        try:
            return msgspec.to_builtins(attempt())
        except (msgspec.MsgspecError, RecursionError) as error:
            problem = problem or error
    raise InvalidInputError(f"{name}: {problem}", details={"at": f"$.{name}"})


def explained(error: Exception) -> SensoriumError:
    """What went wrong while something was read, as our error; `details.at` says where."""
    text = str(error)
    if isinstance(error, RecursionError):
        return InvalidInputError("the request nests too deeply")
    if isinstance(error, UnicodeDecodeError):
        return MalformedInputError("the body is not UTF-8")
    if isinstance(error, msgspec.DecodeError) and not isinstance(error, msgspec.ValidationError):
        return MalformedInputError(f"the body is not JSON: {text}")
    where = _AT.search(text)
    if where is None:
        return InvalidInputError(text)
    what = "a key: " if where["key"] else ""
    return InvalidInputError(what + _AT.sub("", text), details={"at": where["place"]})
