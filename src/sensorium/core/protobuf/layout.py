"""How a Struct looks as a message: what each field becomes, before it has a number.

| Struct                        | message                                              |
|-------------------------------|------------------------------------------------------|
| str, bytes, bool, int, float  | string, bytes, bool, int64, double                   |
| a value that may be missing   | `optional`: every single value has presence          |
| Literal of words, Enum        | an enum of its own, whose first value says nothing   |
| a Struct                      | a message                                            |
| a union of tagged Structs     | a message with a `oneof` of them                     |
| list, tuple                   | `repeated`                                           |
| list of numbers or nulls      | `repeated double`, NaN where it is null              |
| a list that may be null, or in a list | a message that holds a `repeated`            |
| other values in a list that may be null | a message that holds the value, or `null`  |
| dict                          | `map`                                                |
| any JSON (Raw, Any, dict of Any) | bytes that hold JSON                              |
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import msgspec.inspect as mi
from msgspec import Struct

SHARED = (
    "sensorium.core.types",
    "sensorium.core.tensors",
    "sensorium.core.conversation",
    "sensorium.core.generation",
)
"""Structs of these modules are everybody's: their messages carry no noun."""

SCALARS: dict[type[mi.Type], str] = {
    mi.StrType: "string",
    mi.BytesType: "bytes",
    mi.BoolType: "bool",
    mi.IntType: "int64",
    mi.FloatType: "double",
}


@dataclass(frozen=True)
class Scalar:
    """A value of protobuf's own. `json` tells what Python has where the bytes hold any JSON."""

    kind: str
    json: Literal["raw", "plain"] | None = None
    nan_is_null: bool = False


@dataclass(frozen=True)
class Words:
    """One of some words."""

    values: tuple[str, ...]


@dataclass(frozen=True)
class Message:
    """A Struct."""

    struct: type[Struct]


@dataclass(frozen=True)
class Choice:
    """One of some tagged Structs, by their tags."""

    options: tuple[tuple[str, type[Struct]], ...]
    tag_field: str


@dataclass(frozen=True)
class Items:
    """A list of at most so many."""

    item: "Shape"
    most: int | None = None


@dataclass(frozen=True)
class Mapping:
    """A dictionary from text."""

    value: "Shape"


@dataclass(frozen=True)
class Nullable:
    """What a list holds where it may hold nulls."""

    item: "Shape"


Shape = Scalar | Words | Message | Choice | Items | Mapping | Nullable


@dataclass(frozen=True)
class Field:
    """A field of a message: its name on the wire and in Python, and what it holds."""

    name: str
    attribute: str
    shape: Shape
    required: bool
    nullable: bool
    description: str

    @property
    def boxed(self) -> bool:
        """Whether its list or dictionary needs a message around it, to tell null from empty."""
        return self.nullable and isinstance(self.shape, Items | Mapping)


class NoMessageError(TypeError):
    """A Struct that has no form as a message."""


def fields_of(struct: type[Struct]) -> tuple[Field, ...]:
    """The fields of a Struct, in its order.

    Raises:
        NoMessageError: one of them has no form as a field.
    """
    info = mi.type_info(struct)
    assert isinstance(info, mi.StructType)
    return tuple(_field(struct, each) for each in info.fields)


def inner_structs(shape: Shape) -> Iterator[type[Struct]]:
    """The Structs that a shape holds, not those inside them."""
    match shape:
        case Message(struct):
            yield struct
        case Choice(options):
            yield from (struct for _, struct in options)
        case Items(inner) | Mapping(inner) | Nullable(inner):
            yield from inner_structs(inner)


def message_name(noun: str, struct: type[Struct]) -> str:
    """The message of a Struct: `logs` and `ClusterRequest` make `LogsClusterRequest`."""
    return struct.__name__ if struct.__module__ in SHARED else title(noun) + struct.__name__


def title(name: str) -> str:
    """`detect_anomalies` as `DetectAnomalies`."""
    return "".join(word.capitalize() for word in name.split("_"))


def _field(struct: type[Struct], field: mi.Field) -> Field:
    description = ""
    if isinstance(field.type, mi.Metadata):
        description = (field.type.extra_json_schema or {}).get("description", "")
    bare, nullable = _without_null(field.type)
    try:
        shape = _shape(bare)
    except NoMessageError as error:
        raise NoMessageError(f"{struct.__name__}.{field.name}: {error}") from None
    if nullable and not field.required and field.default is not None:
        raise NoMessageError(f"{struct.__name__}.{field.name}: null is not its default")
    return Field(field.encode_name, field.name, shape, field.required, nullable, description)


def _bare(info: mi.Type) -> mi.Type:
    while isinstance(info, mi.Metadata):
        info = info.type
    return info


def _without_null(info: mi.Type) -> tuple[mi.Type, bool]:
    """A type without null, and whether it had it."""
    info = _bare(info)
    if not isinstance(info, mi.UnionType) or not info.includes_none:
        return info, False
    others = [option for option in info.types if not isinstance(option, mi.NoneType)]
    return (others[0] if len(others) == 1 else mi.UnionType(tuple(others))), True


def _shape(info: mi.Type) -> Shape:
    info = _bare(info)
    for kind, name in SCALARS.items():
        if isinstance(info, kind):
            return Scalar(name)
    match info:
        case mi.RawType():
            return Scalar("bytes", json="raw")
        case mi.AnyType():
            return Scalar("bytes", json="plain")
        case mi.StructType(cls):
            return Message(cls)
        case mi.UnionType(types):
            return _choice(types)
        case mi.CollectionType(item_type=item, max_length=most):
            return Items(_item(item), most)
        case mi.DictType(value_type=value):
            plain = isinstance(_bare(value), mi.AnyType)
            return Scalar("bytes", json="plain") if plain else Mapping(_item(value))
    return _words(info)


def _words(info: mi.Type) -> Words:
    """The words of a Literal or an Enum."""
    values: tuple[Any, ...] = ()
    if isinstance(info, mi.LiteralType):
        values = info.values
    elif isinstance(info, mi.EnumType):
        values = tuple(member.value for member in info.cls)
    if not values or not all(isinstance(value, str) for value in values):
        raise NoMessageError(f"{info} has no form in a message")
    return Words(tuple(values))


def _item(info: mi.Type) -> Shape:
    """What a list or a dictionary holds."""
    bare, nullable = _without_null(info)
    if nullable and isinstance(_bare(bare), mi.FloatType):
        return Scalar("double", nan_is_null=True)
    return Nullable(_shape(bare)) if nullable else _shape(bare)


def _choice(types: tuple[mi.Type, ...]) -> Choice:
    options: list[tuple[str, type[Struct]]] = []
    tags: set[Any] = set()
    for option in map(_bare, types):
        if not isinstance(option, mi.StructType) or not isinstance(option.tag, str):
            raise NoMessageError("a union of what are not tagged Structs has no form in a message")
        options.append((option.tag, option.cls))
        tags.add(option.tag_field)
    return Choice(tuple(sorted(options, key=lambda option: option[0])), tags.pop())
