"""Structs into messages, by a writer that is made once for each Struct."""

import math
from collections.abc import Callable
from collections.abc import Mapping as MappingOf
from enum import Enum
from typing import Any

import msgspec
from msgspec import Struct

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
"""Writes a value into a message."""


class Writers:
    """Writers of Structs; `numbers` are those of their messages, which tell their enums."""

    def __init__(self, numbers: MappingOf[type[Struct], Numbers]) -> None:
        self._numbers = numbers
        self._writers = {kind: self._struct_writer(kind) for kind in numbers}

    def write(self, value: Struct, message: Any) -> None:
        """Write a Struct into its message, which is empty."""
        self._writers[type(value)](value, message)

    def _struct_writer(self, kind: type[Struct]) -> Writer:
        steps = [(each.attribute, self._field_writer(kind, each)) for each in fields_of(kind)]

        def write(value: Any, message: Any) -> None:
            for attribute, step in steps:
                inner = getattr(value, attribute)
                if inner is not None:
                    step(inner, message)

        return write

    def _field_writer(self, kind: type[Struct], field: Field) -> Writer:
        words = self._numbers[kind].enums.get(field.name, {})
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
                return lambda value, message: self._writers[struct](value, message)
            case Choice(options):
                tags = {struct: tag.lower() for tag, struct in options}

                def choose(value: Any, message: Any) -> None:
                    inner = getattr(message, tags[type(value)])
                    inner.SetInParent()
                    self._writers[type(value)](value, inner)

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


def _plain_writer(shape: Shape, words: dict[str, int]) -> Callable[[Any], Any]:
    if isinstance(shape, Words):
        return lambda value: words[value.value if isinstance(value, Enum) else value]
    assert isinstance(shape, Scalar)
    if shape.json:
        return msgspec.json.encode
    if shape.nan_is_null:
        return lambda value: math.nan if value is None else value
    return lambda value: value
