"""What every operation must bring with it: a docstring, an example, bounds, descriptions."""

from collections.abc import Iterator

import msgspec
import msgspec.inspect as mi
import pytest
from msgspec import Struct
from msgspec.structs import fields

from sensorium.core.operation import Kind, Operation
from tests.conformance import doors

ALL = doors.operations()
INT64 = 2**63


def each_operation() -> pytest.MarkDecorator:
    return pytest.mark.parametrize("operation", ALL, ids=lambda each: each.name)


@each_operation()
def test_it_says_what_it_does(operation: Operation) -> None:
    assert operation.summary
    assert "\n" not in operation.summary
    assert len(operation.summary) < 100


@each_operation()
def test_its_example_fits_its_own_structs(operation: Operation) -> None:
    if operation.name in doors.FAILING and operation.example is None:
        return
    assert operation.example is not None
    encoded = msgspec.json.encode(operation.example)
    assert msgspec.json.decode(encoded, type=operation.request) == operation.example
    if operation.kind is Kind.DUPLEX:
        assert operation.incoming_example, "one that listens needs an example of what it hears"
    for item in operation.incoming_example:
        assert msgspec.json.decode(msgspec.json.encode(item), type=operation.incoming) == item


@each_operation()
def test_what_goes_in_takes_no_unknown_fields(operation: Operation) -> None:
    for kind in _kinds(operation.request, operation.incoming):
        assert kind.__struct_config__.forbid_unknown_fields, kind.__name__


@each_operation()
def test_every_field_is_described(operation: Operation) -> None:
    bare = [
        f"{kind.__name__}.{field.name}"
        for kind in _kinds(operation.request, operation.incoming, operation.response)
        for field in fields(kind)
        if not _is_described(field.type)
    ]
    assert not bare, f"without a description: {', '.join(bare)}"


@each_operation()
def test_every_struct_is_described(operation: Operation) -> None:
    kinds = _kinds(operation.request, operation.incoming, operation.response)
    assert not [kind.__name__ for kind in kinds if not (kind.__doc__ or "").strip()]


@each_operation()
def test_every_whole_number_is_bounded_to_int64(operation: Operation) -> None:
    for kind in _kinds(operation.request, operation.incoming, operation.response):
        for where, info in _leaves(mi.type_info(kind), kind.__name__):
            if isinstance(info, mi.IntType):
                low, high = _bounds(info)
                assert low is not None, f"{where} has no lower bound"
                assert high is not None, f"{where} has no upper bound"
                assert -INT64 <= low <= high < INT64, where


@each_operation()
def test_every_number_of_a_request_is_bounded(operation: Operation) -> None:
    for kind in _kinds(operation.request, operation.incoming):
        for where, info in _leaves(mi.type_info(kind), kind.__name__):
            # The elements of a list are measurements: any finite number.
            if isinstance(info, mi.FloatType) and not where.endswith("[]"):
                assert None not in _bounds(info), f"{where} is not bounded"


def _kinds(*roots: type[Struct] | None) -> list[type[Struct]]:
    """The Structs that these are made of, themselves included."""
    found: dict[type[Struct], None] = {}

    def look(info: mi.Type) -> None:
        if isinstance(info, mi.StructType):
            if info.cls in found:
                return
            found[info.cls] = None
        for _, inner in _inside(info):
            look(inner)

    for root in roots:
        if root is not None:
            look(mi.type_info(root))
    return list(found)


def _leaves(info: mi.Type, where: str) -> Iterator[tuple[str, mi.Type]]:
    """What is not made of other types; inner Structs are left to their own turn."""
    inner = list(_inside(info))
    if not inner:
        yield where, info
    for step, each in inner:
        if not isinstance(each, mi.StructType):
            yield from _leaves(each, where + step)


def _inside(info: mi.Type) -> Iterator[tuple[str, mi.Type]]:
    match info:
        case mi.StructType():
            yield from ((f".{field.encode_name}", field.type) for field in info.fields)
        case mi.Metadata():
            yield "", info.type
        case mi.UnionType():
            yield from (("", option) for option in info.types)
        case mi.CollectionType():
            yield "[]", info.item_type
        case mi.DictType():
            yield from (("{}", info.key_type), ("{}", info.value_type))
        case _:
            pass


def _bounds(info: mi.IntType | mi.FloatType) -> tuple[float | None, float | None]:
    low = info.gt if info.ge is None else info.ge
    high = info.lt if info.le is None else info.le
    return low, high


def _is_described(hint: object) -> bool:
    return any(getattr(meta, "description", None) for meta in getattr(hint, "__metadata__", ()))
