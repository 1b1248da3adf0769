"""Requests made from the Structs: good ones, and ones that are wrong in exactly one way."""

import copy
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
import msgspec.inspect as mi
from hypothesis import strategies as st
from msgspec import Struct

LARGEST = 200_000
"""Lists that are only too long beyond this are left out: the suite would move gigabytes."""
LONGEST = 2_000_000
DEEP = 100_000
INT64 = 2**63 - 1
_CANDIDATES = (17, "text", 12.5, True, None, [1], {"a": 1}, [{"a": [None]}])


@dataclass(frozen=True)
class BadRequest:
    """A body that must be refused as `invalid_input`. `at` is the JSON path that is wrong."""

    kind: str
    """unreadable, shape, deep, unknown, missing, type or bound."""
    body: bytes
    at: str = ""


def bad_requests(kind: type[Struct], good: Struct | None) -> Iterator[BadRequest]:
    """Every way in which a request of that kind can be wrong, each alone, from a good one."""
    whole = {} if good is None else msgspec.json.decode(_json(good))
    for body in (b'{"', b"\xff\xfe", b"nonsense", b'{"a": NaN}', b"{} {}"):
        yield BadRequest("unreadable", body)
    for shape in ([], "text", 1, None, True):
        yield BadRequest("shape", _json(shape))
    yield BadRequest("deep", b"[" * DEEP + b"]" * DEEP)
    info = mi.type_info(kind)
    assert isinstance(info, mi.StructType)
    for field in info.fields:
        nested = b'{"%s":%s%s}' % (field.encode_name.encode(), b"[" * DEEP, b"]" * DEEP)
        yield BadRequest("deep", nested)
    yield from _wrong_fields(info, whole, _Place(whole))


def strategy(kind: type[Struct]) -> st.SearchStrategy[dict[str, Any]]:
    """Valid requests of that kind, small ones."""
    return _strategy(mi.type_info(kind))


class _Place:
    """A place inside a request: makes a copy of the whole with something else there."""

    def __init__(self, whole: Any, path: tuple[str | int, ...] = ()) -> None:
        self.whole = whole
        self.path = path

    def __truediv__(self, step: str | int) -> "_Place":
        return _Place(self.whole, (*self.path, step))

    @property
    def json_path(self) -> str:
        steps = (f".{s}" if isinstance(s, str) else "[...]" for s in self.path)
        return "$" + "".join(steps)

    def bad(self, kind: str, value: Any) -> BadRequest:
        """With that value here."""
        return self._changed(kind, lambda parent, step: parent.__setitem__(step, value))

    def missing(self) -> BadRequest:
        """Without anything here."""
        return self._changed("missing", lambda parent, step: parent.pop(step))

    def _changed(self, kind: str, change: Callable[[Any, str | int], object]) -> BadRequest:
        whole = parent = copy.deepcopy(self.whole)
        for step in self.path[:-1]:
            parent = parent[step]
        change(parent, self.path[-1])
        return BadRequest(kind, _json(whole), self.json_path)


def _wrong_fields(info: mi.StructType, good: Any, place: _Place) -> Iterator[BadRequest]:
    yield (place / "no_such_field").bad("unknown", 1)
    for field in info.fields:
        here = place / field.encode_name
        if field.required and field.encode_name in good:
            yield here.missing()
        yield from _wrong_value(field.type, good.get(field.encode_name), here)


def _wrong_value(info: mi.Type, good: Any, here: _Place) -> Iterator[BadRequest]:
    info = _bare(info)
    if isinstance(info, mi.RawType | mi.AnyType):
        return
    yield from (here.bad("type", value) for value in _of_wrong_type(info))
    options = info.types if isinstance(info, mi.UnionType) else (info,)
    for option in map(_bare, options):
        yield from (here.bad("bound", value) for value in _beyond(option))
        if isinstance(option, mi.StructType) and isinstance(good, dict):
            yield from _wrong_fields(option, good, here)
        if isinstance(option, mi.ListType) and isinstance(good, list) and good:
            yield from _wrong_value(option.item_type, good[0], here / 0)


def _of_wrong_type(info: mi.Type) -> Iterator[Any]:
    if isinstance(info, mi.LiteralType):
        yield "none_of_these"
    for candidate in _CANDIDATES:
        if not _accepts(info, candidate):
            yield candidate
            return


def _accepts(info: mi.Type, value: Any) -> bool:
    """Whether the type takes a value of that shape, whatever its bounds."""
    match info:
        case mi.Metadata():
            return _accepts(info.type, value)
        case mi.UnionType():
            return any(_accepts(option, value) for option in info.types)
        case mi.IntType() | mi.BoolType() | mi.NoneType() | mi.StrType():
            kinds = {"IntType": int, "BoolType": bool, "NoneType": type(None), "StrType": str}
            return type(value) is kinds[type(info).__name__]
        case mi.FloatType():
            return type(value) in (int, float)
        case mi.LiteralType():
            return isinstance(value, str)
        case mi.ListType() | mi.CollectionType():
            return isinstance(value, list)
        case _:
            return isinstance(value, dict)


def _beyond(info: mi.Type) -> Iterator[Any]:
    """Values of the right type on the wrong side of each bound."""
    match info:
        case mi.IntType():
            yield from _outside(info, 1)
            yield INT64 + 1 if info.le is None and info.lt is None else 2**80
        case mi.FloatType():
            yield from _outside(info, 0.5)
        case mi.StrType() if info.max_length is not None and info.max_length < LONGEST:
            yield "x" * (info.max_length + 1)
        case mi.ListType() if info.max_length is not None and info.max_length < LARGEST:
            yield [None] * (info.max_length + 1)
        case _:
            pass


def _outside(info: mi.IntType | mi.FloatType, step: float) -> Iterator[Any]:
    if info.ge is not None:
        yield _below(info.ge, step)
    if info.gt is not None:
        yield info.gt
    if info.le is not None:
        yield -_below(-info.le, step)
    if info.lt is not None:
        yield info.lt


def _below(bound: float, step: float) -> float:
    """Less than the bound, also where a step vanishes beside it."""
    return bound - step if bound - step < bound else bound - abs(bound) * 1e-9


def _bare(info: mi.Type) -> mi.Type:
    return _bare(info.type) if isinstance(info, mi.Metadata) else info


def _json(value: Any) -> bytes:
    return msgspec.json.encode(value)


_TEXT = st.text(max_size=12)


def _strategy(info: mi.Type) -> st.SearchStrategy[Any]:
    match _bare(info):
        case mi.StructType() as struct:
            return _struct(struct)
        case mi.IntType() | mi.FloatType() | mi.BoolType() | mi.NoneType() as plain:
            return _plain(plain)
        case mi.StrType() as text:
            return _TEXT.filter(lambda value: len(value) >= (text.min_length or 0))
        case mi.BytesType():
            return st.binary(max_size=12).map(lambda data: b64encode(data).decode())
        case mi.ListType() as items:
            return st.lists(_strategy(items.item_type), min_size=items.min_length or 0, max_size=4)
        case mi.UnionType() as union:
            return st.one_of([_strategy(option) for option in union.types])
        case mi.LiteralType() as literal:
            return st.sampled_from(list(literal.values))
        case mi.DictType() as mapping:
            return st.dictionaries(_TEXT, _strategy(mapping.value_type), max_size=3)
        case mi.RawType() | mi.AnyType():
            return st.recursive(
                st.none() | st.booleans() | st.integers(-INT64, INT64) | _TEXT,
                lambda inner: (
                    st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3)
                ),
                max_leaves=5,
            )
        case other:
            raise NotImplementedError(f"say here how to make a {other!r}")


def _plain(info: mi.Type) -> st.SearchStrategy[Any]:
    match info:
        case mi.IntType():
            return st.integers(
                -INT64 - 1 if info.ge is None else info.ge, INT64 if info.le is None else info.le
            )
        case mi.FloatType():
            return _floats(info)
        case mi.BoolType():
            return st.booleans()
        case _:
            return st.none()


def _struct(info: mi.StructType) -> st.SearchStrategy[dict[str, Any]]:
    kinds = {field.encode_name: _strategy(field.type) for field in info.fields}
    required = {field.encode_name for field in info.fields if field.required}
    return st.fixed_dictionaries(
        {name: made for name, made in kinds.items() if name in required},
        optional={name: made for name, made in kinds.items() if name not in required},
    )


def _floats(info: mi.FloatType) -> st.SearchStrategy[float]:
    low, high = (info.ge, info.gt), (info.le, info.lt)
    return st.floats(
        next((bound for bound in low if bound is not None), None),
        next((bound for bound in high if bound is not None), None),
        exclude_min=info.gt is not None,
        exclude_max=info.lt is not None,
        allow_nan=False,
        allow_infinity=False,
        allow_subnormal=False,
    )
