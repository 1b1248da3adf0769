"""Values of any kind: what flows where no Struct says what comes, as between a pipeline's stages.

A value is what JSON holds (null, bool, int, float, text, list, map), bytes, or one of the types
that everybody shares: Tensor, Image, Audio, Series. In JSON the latter stand in a map of one
member that names their kind, so that any value comes back as it was:

    {"scores": [0.5, 1], "picture": {"$image": {"width": 1, "height": 1, "data": "AAAA"}}}

A map whose only member begins with a dollar sign stands in `{"$map": …}` itself. msgpack is the
same, with bytes of its own.
"""

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import fields as struct_fields

from sensorium.core.codec import explained
from sensorium.core.errors import InvalidInputError
from sensorium.core.tensors import Tensor
from sensorium.core.types import Audio, Image, Series

S = TypeVar("S")
STRUCTS: dict[str, type[Struct]] = {
    "tensor": Tensor,
    "image": Image,
    "audio": Audio,
    "series": Series,
}
_KINDS: dict[type, str] = {
    type(None): "null",
    bool: "bool",
    int: "int",
    float: "float",
    str: "text",
    bytes: "bytes",
    list: "list",
    dict: "map",
    **{struct: kind for kind, struct in STRUCTS.items()},
}
KINDS = tuple(_KINDS.values())
ANY = "any"
MAX_NESTING = 64
INT64 = 2**63
_SPEC = re.compile(r"(?P<kind>[a-z]+)(?:\[(?P<item>.+)\])?(?P<nullable>\?)?")

Value = Any
"""One of the types in `_KINDS`; a list or a map holds values."""


@dataclass(frozen=True)
class Spec:
    """What a value must be: a kind or `any`; what a list or a map must hold; whether null does."""

    kind: str = ANY
    item: "Spec | None" = None
    nullable: bool = False

    @property
    def kinds(self) -> Iterator[str]:
        """The kinds that it names."""
        yield self.kind
        if self.item is not None:
            yield from self.item.kinds

    def __str__(self) -> str:
        item = f"[{self.item}]" if self.item else ""
        return f"{self.kind}{item}{'?' if self.nullable else ''}"


def read_spec(text: str) -> Spec:
    """A spec as one writes it: `text`, `list[float]`, `map[list[int]]`, `image?`, `any`.

    Raises:
        InvalidInputError: it is none.
    """
    match = _SPEC.fullmatch(text)
    if match is None or (match["item"] and match["kind"] not in ("list", "map")):
        raise InvalidInputError(f"{text[:80]!r} is no kind of value, such as list[text]")
    if match["kind"] not in (*KINDS, ANY):
        raise InvalidInputError(f"there is no kind {match['kind'][:80]!r}, only {', '.join(KINDS)}")
    item = read_spec(match["item"]) if match["item"] else None
    return Spec(match["kind"], item, match["nullable"] is not None)


def kind_of(value: Value) -> str:
    """The kind of a value.

    Raises:
        InvalidInputError: it is of a type that has none.
    """
    kind = _KINDS.get(type(value))
    if kind is None:
        raise InvalidInputError(f"a {type(value).__name__} is no value")
    return kind


def to_json(value: Value) -> bytes:
    """A value as JSON, from which `from_json` makes the same one.

    Raises:
        InvalidInputError: it holds what no value is, an int beyond int64, a float that is not
            finite; or it nests too deeply.
    """
    return msgspec.json.encode(_tagged(value, lambda data: {"$bytes": data}))


def from_json(body: bytes | msgspec.Raw) -> Value:
    """The value that JSON holds; errors as for `to_json`, and where it is no JSON."""
    try:
        return _untagged(msgspec.json.decode(body))
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise explained(error) from None


def to_msgpack(value: Value) -> bytes:
    """A value as msgpack; errors as for `to_json`."""
    return msgspec.msgpack.encode(_tagged(value, lambda data: data))


def from_msgpack(body: bytes) -> Value:
    """The value that msgpack holds; errors as for `from_json`."""
    try:
        return _untagged(msgspec.msgpack.decode(body))
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise explained(error) from None


def plain(value: Value) -> Any:
    """A value without tags, as an operation's request holds it: Structs as maps."""
    return msgspec.to_builtins(value, builtin_types=(bytes, memoryview, msgspec.Raw))


def validate(value: Value, schema: type[S]) -> S:
    """A value as an annotated type of ours, bounds included: a Struct, or a field's type.

    Raises:
        InvalidInputError: it does not fit; `details.at` says where.
    """
    try:
        return msgspec.convert(plain(value), schema)
    except (msgspec.MsgspecError, RecursionError, TypeError, OverflowError) as error:
        raise explained(error) from None


def size_of(value: Value) -> int:
    """Roughly how many bytes a value holds."""
    match value:
        case str() | bytes() | memoryview():
            return len(value)
        case list():
            return 8 + sum(map(size_of, value))
        case dict():
            return 8 + sum(len(key) + size_of(member) for key, member in value.items())
        case Tensor() | Image() | Audio():
            return 64 + len(value.data)
        case Series():
            return 64 + 8 * (len(value.values) + len(value.timestamps or ()))
    return 8


def _tagged(value: Value, wrap: Callable[[bytes], Any], depth: int = 0) -> Any:
    """What is encoded: checked, and with its tags."""
    if depth > MAX_NESTING:
        raise InvalidInputError("the value nests too deeply")
    match value:
        case list():
            return [_tagged(item, wrap, depth + 1) for item in value]
        case dict():
            found = {_key(k): _tagged(member, wrap, depth + 1) for k, member in value.items()}
            return {"$map": found} if _looks_tagged(found) else found
        case bytes():
            return wrap(value)
        case Struct():
            return {f"${kind_of(value)}": _members(value)}
    return _checked(value)


def _members(value: Struct) -> dict[str, Any]:
    """The members of a Struct that are not as they are by default."""
    found: dict[str, Any] = plain(value)
    needed = {each.name for each in struct_fields(value) if each.required}
    return {k: v for k, v in found.items() if k in needed or v not in (None, "", b"", [])}


def _untagged(found: Any, depth: int = 0) -> Value:
    """The value that was decoded as `found`."""
    if depth > MAX_NESTING:
        raise InvalidInputError("the value nests too deeply")
    match found:
        case list():
            return [_untagged(item, depth + 1) for item in found]
        case dict():
            if not _looks_tagged(found):
                return {_key(key): _untagged(member, depth + 1) for key, member in found.items()}
            ((tag, inner),) = found.items()
            if tag == "$map" and isinstance(inner, dict):
                return {_key(key): _untagged(member, depth + 1) for key, member in inner.items()}
            return _of_kind(tag[1:], inner)
        case bytes():
            return found
    return _checked(found)


def _key(key: Any) -> str:
    if not isinstance(key, str):
        raise InvalidInputError("the members of a map are named by text")
    return key


def _looks_tagged(found: dict[Any, Any]) -> bool:
    return len(found) == 1 and str(next(iter(found))).startswith("$")


def _of_kind(kind: str, inner: Any) -> Value:
    """What stands in a tag, of the kind that the tag names."""
    if kind == "bytes":
        return validate(inner, bytes)
    if kind not in STRUCTS:
        raise InvalidInputError(
            f"there is no kind ${kind[:40]}; a map with that member alone is written "
            f'{{"$map": {{"${kind[:40]}": …}}}}'
        )
    return validate(inner, STRUCTS[kind])


def _checked(value: Any) -> Value:
    """A single value, if it is one."""
    kind_of(value)
    if type(value) is int and not -INT64 <= value < INT64:
        raise InvalidInputError("an int is of 64 bits, and this is more")
    if type(value) is float and not math.isfinite(value):
        raise InvalidInputError("a float must be finite; null stands for none")
    return value
