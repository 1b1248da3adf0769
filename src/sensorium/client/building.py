"""From what the caller wrote to the request Struct, and from a name to the operation."""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import NODEFAULT, Raw, Struct
from msgspec.structs import FieldInfo
from msgspec.structs import fields as struct_fields

from sensorium.core.codec import raw_fields
from sensorium.core.errors import InvalidInputError
from sensorium.core.operation import Operation


def build_request(
    operation: Operation, request: Struct | None, values: Mapping[str, Any]
) -> Struct:
    """The request: the Struct given, or one of the keyword arguments. Bounds are checked later.

    Raises:
        InvalidInputError: a field that there is none of, one that is missing, or another's Struct.
    """
    if request is None:
        return _made(operation.request, operation.name, values)
    if values:
        raise InvalidInputError(
            f"{operation.name} takes a {operation.request.__name__} or keyword arguments, not both"
        )
    return _checked(request, operation.request, operation.name)


def build_item(operation: Operation, item: Any) -> Struct:
    """One item for an operation that listens; text is a line where the operation takes lines.

    Raises:
        InvalidInputError: it is something else.
    """
    kind = operation.incoming
    assert kind is not None
    if isinstance(item, str) and operation.lines_field is not None:
        return kind(**{operation.lines_field: [item.rstrip("\r\n")]})
    return _checked(item, kind, operation.name)


def default_of(field: FieldInfo) -> Any:
    """What a field is when it is not given; `NODEFAULT` where it must be."""
    return field.default if field.default_factory is NODEFAULT else field.default_factory()


def _made(kind: type[Struct], name: str, values: Mapping[str, Any]) -> Struct:
    raw = raw_fields(kind)
    if raw:
        values = {key: _raw(value) if key in raw else value for key, value in values.items()}
    try:
        return kind(**values)
    except TypeError as error:
        known = {field.name for field in struct_fields(kind)}
        unknown = sorted(values.keys() - known)
        said = f"there is no field {unknown[0]!r}" if unknown else str(error)
        raise InvalidInputError(f"{name}: {said}") from None


def _checked(value: Any, kind: type[Struct], name: str) -> Struct:
    if not isinstance(value, kind):
        raise InvalidInputError(f"{name} takes {kind.__name__}, not {type(value).__name__}")
    return value


def _raw(value: Any) -> Raw:
    return value if isinstance(value, Raw) else Raw(msgspec.json.encode(value))
