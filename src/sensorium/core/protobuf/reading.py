"""Messages into plain values, by a reader that is made once for each Struct."""

import math
from collections.abc import Callable
from collections.abc import Mapping as MappingOf
from typing import Any

import msgspec
from msgspec import Struct

from sensorium.core.errors import InvalidInputError
from sensorium.core.protobuf.layout import (
    Choice,
    Field,
    Items,
    Mapping,
    Message,
    Nullable,
    Scalar,
    Shape,
    Words,
    fields_of,
)
from sensorium.core.protobuf.lock import Numbers
from sensorium.core.protobuf.schema import ITEMS

Reader = Callable[[Any, str], dict[str, Any]]
"""Reads a message, which stands at a path, into plain values."""
Step = Callable[[Any, str, dict[str, Any]], None]
"""Reads one field of a message into the values of all."""

_NOTHING = object()
"""An enum's first value, which says nothing."""


class Readers:
    """Readers of Structs; `numbers` are those of their messages, which tell their enums."""

    def __init__(self, numbers: MappingOf[type[Struct], Numbers]) -> None:
        self._numbers = numbers
        self._readers = {kind: self._struct_reader(kind) for kind in numbers}

    def read(self, kind: type[Struct], message: Any) -> dict[str, Any]:
        """The plain values of a Struct in its message, still to be validated.

        Raises:
            InvalidInputError: a number is not finite, or JSON within is none.
        """
        return self._readers[kind](message, "$")

    def _struct_reader(self, kind: type[Struct]) -> Reader:
        steps = [self._field_reader(kind, each) for each in fields_of(kind)]

        def read(message: Any, path: str) -> dict[str, Any]:
            values: dict[str, Any] = {}
            for step in steps:
                step(message, path, values)
            return values

        return read

    def _field_reader(self, kind: type[Struct], field: Field) -> Step:
        name, required = field.name, field.required
        numbers = self._numbers[kind].enums.get(name, {})
        words = {number: word for word, number in numbers.items()}
        repeated = isinstance(field.shape, Items | Mapping)
        get = self._getter(field.shape, ITEMS if field.boxed else name, words)

        def read(message: Any, path: str, values: dict[str, Any]) -> None:
            here = f"{path}.{name}"
            if repeated and not field.boxed:
                found = get(message, here)
                if found or required:
                    values[name] = found
                return
            found = _NOTHING
            if message.HasField(name):
                found = get(getattr(message, name) if field.boxed else message, here)
            if found is not _NOTHING:
                values[name] = found
            elif required and field.nullable:
                values[name] = None

        return read

    def _getter(self, shape: Shape, name: str, words: dict[int, str]) -> Callable[[Any, str], Any]:
        """What gets the value of a field out of its message."""
        match shape:
            case Items(item, most):
                return self._items_getter(item, most, name, words)
            case Mapping(value):
                one = self._one(value, words)
                return lambda message, path: {
                    key: one(inner, f"{path}[...]") for key, inner in getattr(message, name).items()
                }
        one = self._one(shape, words)
        return lambda message, path: one(getattr(message, name), path)

    def _items_getter(
        self, item: Shape, most: int | None, name: str, words: dict[int, str]
    ) -> Callable[[Any, str], Any]:
        plain = isinstance(item, Scalar) and item.kind != "double" and not item.json
        one = self._one(item, words)

        def get(message: Any, path: str) -> list[Any]:
            found = getattr(message, name)
            # An item may take two bytes there and hundreds here, so they are counted first.
            if most is not None and len(found) > most:
                raise InvalidInputError(
                    f"Expected `array` of length <= {most}", details={"at": path}
                )
            return list(found) if plain else [one(each, f"{path}[...]") for each in found]

        return get

    def _one(self, shape: Shape, words: dict[int, str]) -> Callable[[Any, str], Any]:
        """What turns one value of a message into plain values."""
        match shape:
            case Scalar():
                return _plain_reader(shape)
            case Words():
                # A number that no word has is refused like a word that is none.
                return lambda value, path: words.get(value, str(value)) if value else _NOTHING
            case Message(struct):
                return lambda value, path: self._readers[struct](value, path)
            case Choice(options, tag_field):
                return self._chosen(dict(options), tag_field)
            case Nullable(item):
                get = self._getter(item, ITEMS, words)
                return lambda message, path: None if message.null else get(message, path)
        return self._getter(shape, ITEMS, words)

    def _chosen(
        self, options: dict[str, type[Struct]], tag_field: str
    ) -> Callable[[Any, str], Any]:
        tags = {tag.lower(): tag for tag in options}

        def read(message: Any, path: str) -> Any:
            chosen = message.WhichOneof("kind")
            if chosen is None:
                return {}
            tag = tags[chosen]
            inner = self._readers[options[tag]](getattr(message, chosen), path)
            return {tag_field: tag, **inner}

        return read


def _plain_reader(shape: Scalar) -> Callable[[Any, str], Any]:
    if shape.json == "raw":
        return _read_raw
    if shape.json:
        return _read_json
    if shape.kind != "double":
        return lambda value, path: value
    nan_is_null = shape.nan_is_null

    def finite(value: float, path: str) -> float | None:
        if math.isfinite(value):
            return value
        if nan_is_null and math.isnan(value):
            return None
        raise InvalidInputError("Expected a finite number", details={"at": path})

    return finite


def _read_raw(value: bytes, path: str) -> msgspec.Raw:
    _read_json(value, path)
    return msgspec.Raw(value)


def _read_json(value: bytes, path: str) -> Any:
    try:
        return msgspec.json.decode(value)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        raise InvalidInputError("Expected JSON", details={"at": path}) from None
