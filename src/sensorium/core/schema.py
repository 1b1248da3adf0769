"""JSON Schema of the Structs: what OpenAPI, MCP and `system.operations` show."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Struct

PREFIX = "#/components/schemas/"
REFERENCE = f"{PREFIX}{{name}}"


def components(kinds: Iterable[type[Struct]]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """A reference to each type's schema, and the schemas by name.

    Where capabilities use one name for different types, theirs goes in front: `LogsWatchEvent`.

    Raises:
        ValueError: two different types have the same name even so.
    """
    kinds = list(kinds)
    references, schemas = msgspec.json.schema_components(kinds, ref_template=REFERENCE)
    names = {name: _with_noun(name) for name in schemas}
    doubled = [name for name, count in Counter(names.values()).items() if count > 1]
    odd = [name for name in names.values() if "." in name or name.endswith("_")]
    if doubled or odd:
        raise ValueError(f"these types share a name with another: {sorted(doubled + odd)}")
    named = {names[name]: _renamed(schema, names) for name, schema in schemas.items()}
    return _renamed(list(references), names), named


def _with_noun(name: str) -> str:
    """`sensorium.capabilities.logs.schema.Event`, so written where it is doubled: `LogsEvent`."""
    parts = name.split(".")
    if len(parts) < 4:
        return name
    return parts[2].title().replace("_", "") + parts[-1]


def _renamed(schema: Any, names: dict[str, str]) -> Any:
    """A schema whose references go to the new names."""
    match schema:
        case dict():
            return {key: _renamed(value, names) for key, value in schema.items()}
        case list():
            return [_renamed(value, names) for value in schema]
        case str() if schema.startswith(PREFIX):
            return PREFIX + names[schema.removeprefix(PREFIX)]
    return schema


def schema_of(kind: type[Struct]) -> dict[str, Any]:
    """A type's schema, whole: what it refers to stands under `$defs`."""
    schema: dict[str, Any] = msgspec.json.schema(kind)
    return schema
