"""Structs to bytes and back, by a writer and a reader that are made once for each Struct."""

import math
from collections.abc import Callable
from enum import Enum
from typing import Any

import msgspec
from google.protobuf.message import DecodeError
from google.protobuf.message import Message as ProtoMessage
from msgspec import Struct

from sensorium.core.errors import InvalidInputError, MalformedInputError
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

Writer = Callable[[Any, Any], None]
"""Writes a Struct into a message."""
Reader = Callable[[Any, str], dict[str, Any]]
"""Reads a message, which stands at a path, into plain values."""

NumbersOf = Callable[[type[Struct]], Numbers]


class Messages:
    """Writers and readers of the Structs of one noun; `numbers_of` tells their enums."""

    def __init__(self, numbers_of: NumbersOf) -> None:
        self._numbers_of = numbers_of
        self._writers: dict[type[Struct], Writer] = {}
        self._readers: dict[type[Struct], Reader] = {}

    def to_bytes(self, value: Struct, message: ProtoMessage) -> bytes:
        """A Struct as the bytes of `message`, which is empty."""
        self.writer(type(value))(value, message)
        data: bytes = message.SerializeToString()
        return data

    def from_bytes(self, kind: type[Struct], data: bytes, message: ProtoMessage) -> Any:
        """The plain values of a Struct in the bytes of a message, still to be validated.

        Raises:
            MalformedInputError: they are no such message.
            InvalidInputError: a number is not finite, or JSON within is none.
        """
        try:
            message.ParseFromString(data)
        except DecodeError:
            raise MalformedInputError("the request is not a message of this operation") from None
        return self.reader(kind)(message, "$")

    def writer(self, kind: type[Struct]) -> Writer:
        """What writes such a Struct into its message."""
        found = self._writers.get(kind)
        if found is None:
            steps: list[tuple[str, Writer]] = []

            def write(value: Any, message: Any) -> None:
                for attribute, step in steps:
                    inner = getattr(value, attribute)
                    if inner is not None:
                        step(inner, message)

            found = self._writers[kind] = write  # before its fields, which may lead back to it
            steps += [(each.attribute, self._field_writer(kind, each)) for each in fields_of(kind)]
        return found

    def reader(self, kind: type[Struct]) -> Reader:
        """What reads such a Struct's values out of its message."""
        found = self._readers.get(kind)
        if found is None:
            steps: list[Callable[[Any, str, dict[str, Any]], None]] = []

            def read(message: Any, path: str) -> dict[str, Any]:
                values: dict[str, Any] = {}
                for step in steps:
                    step(message, path, values)
                return values

            found = self._readers[kind] = read
            steps += [self._field_reader(kind, each) for each in fields_of(kind)]
        return found

    def _field_writer(self, kind: type[Struct], field: Field) -> Writer:
        words = self._numbers_of(kind).enums.get(field.name, {})
        if not field.boxed:
            return self._writer(field.shape, field.name, words)
        inner = self._writer(field.shape, ITEMS, words)

        def boxed(value: Any, message: Any) -> None:
            box = getattr(message, field.name)
            box.SetInParent()
            inner(value, box)

        return boxed

    def _writer(self, shape: Shape, name: str, words: dict[str, int]) -> Writer:
        match shape:
            case Items(item):
                return self._items_writer(item, name, words)
            case Mapping(value):
                return self._mapping_writer(value, name, words)
            case Message() | Choice():
                fill = self._filler(shape, words)

                def single(value: Any, message: Any) -> None:
                    inner = getattr(message, name)
                    inner.SetInParent()
                    fill(value, inner)

                return single
        plain = _plain_writer(shape, words)
        return lambda value, message: setattr(message, name, plain(value))

    def _items_writer(self, item: Shape, name: str, words: dict[str, int]) -> Writer:
        if isinstance(item, Scalar | Words):
            if isinstance(item, Scalar) and not (item.json or item.nan_is_null):
                return lambda values, message: getattr(message, name).extend(values)
            plain = _plain_writer(item, words)
            return lambda values, message: getattr(message, name).extend(map(plain, values))
        fill = self._filler(item, words)

        def each(values: Any, message: Any) -> None:
            add = getattr(message, name).add
            for value in values:
                fill(value, add())

        return each

    def _mapping_writer(self, value: Shape, name: str, words: dict[str, int]) -> Writer:
        if isinstance(value, Scalar | Words):
            plain = _plain_writer(value, words)

            def each(values: Any, message: Any) -> None:
                target = getattr(message, name)
                for key, inner in values.items():
                    target[key] = plain(inner)

            return each
        fill = self._filler(value, words)

        def each_message(values: Any, message: Any) -> None:
            target = getattr(message, name)
            for key, inner in values.items():
                fill(inner, target[key])

        return each_message

    def _filler(self, shape: Shape, words: dict[str, int]) -> Writer:
        """What writes a value into a message that is there for it alone."""
        match shape:
            case Message(struct):
                return lambda value, message: self.writer(struct)(value, message)
            case Choice(options):
                tags = {struct: tag.lower() for tag, struct in options}

                def choose(value: Any, message: Any) -> None:
                    inner = getattr(message, tags[type(value)])
                    inner.SetInParent()
                    self.writer(type(value))(value, inner)

                return choose
            case Nullable(item):
                inner_writer = self._writer(item, ITEMS, words)

                def write_or_null(value: Any, message: Any) -> None:
                    if value is None:
                        message.null = True
                    else:
                        inner_writer(value, message)

                return write_or_null
        return self._writer(shape, ITEMS, words)

    def _field_reader(
        self, kind: type[Struct], field: Field
    ) -> Callable[[Any, str, dict[str, Any]], None]:
        name, required = field.name, field.required
        numbers = self._numbers_of(kind).enums.get(name, {})
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
            case Items(item):
                if isinstance(item, Scalar) and item.kind not in ("double",) and not item.json:
                    return lambda message, path: list(getattr(message, name))
                one = self._one(item, words)
                inside = "[...]"
                return lambda message, path: [
                    one(value, path + inside) for value in getattr(message, name)
                ]
            case Mapping(value):
                one = self._one(value, words)
                return lambda message, path: {
                    key: one(inner, f"{path}[...]") for key, inner in getattr(message, name).items()
                }
        one = self._one(shape, words)
        return lambda message, path: one(getattr(message, name), path)

    def _one(self, shape: Shape, words: dict[int, str]) -> Callable[[Any, str], Any]:
        """What turns one value of a message into plain values."""
        match shape:
            case Scalar():
                return _plain_reader(shape)
            case Words():
                # A number that no word has is refused like a word that is none.
                return lambda value, path: words.get(value, str(value)) if value else _NOTHING
            case Message(struct):
                return lambda value, path: self.reader(struct)(value, path)
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
            inner = self.reader(options[tag])(getattr(message, chosen), path)
            return {tag_field: tag, **inner}

        return read


_NOTHING = object()
"""An enum's first value, which says nothing."""


def _plain_writer(shape: Shape, words: dict[str, int]) -> Callable[[Any], Any]:
    if isinstance(shape, Words):
        return lambda value: words[value.value if isinstance(value, Enum) else value]
    assert isinstance(shape, Scalar)
    if shape.json:
        return msgspec.json.encode
    if shape.nan_is_null:
        return lambda value: math.nan if value is None else value
    return lambda value: value


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
