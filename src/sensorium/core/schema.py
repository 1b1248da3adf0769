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

    Where two packages use one name for different types, theirs goes in front: `LogsWatchEvent`.
    """
    kinds = list(kinds)
    references, schemas = msgspec.json.schema_components(kinds, ref_template=REFERENCE)
    names = {name: _with_noun(name) for name in schemas}
    times = Counter(names.values())
    names = {name: short if times[short] == 1 else _whole(name) for name, short in names.items()}
    named = {names[name]: _renamed(schema, names) for name, schema in schemas.items()}
    return _renamed(list(references), names), named


def _with_noun(name: str) -> str:
    """`sensorium.capabilities.logs.schema.Event`, so written where it is doubled: `LogsEvent`.

    Of another package it is the first part that tells: `words.schema.Event` is `WordsEvent`.
    """
    *places, own = name.split(".")
    if not places:
        return own
    noun = places[2] if places[0] == "sensorium" and len(places) > 2 else places[0]
    return _whole(f"{noun}.{own}")


def _whole(name: str) -> str:
    """Every part of a name, in one word."""
    *places, own = name.split(".")
    return "".join(each.title().replace("_", "") for each in places) + own


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
