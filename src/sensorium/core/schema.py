"""JSON Schema of the Structs: what OpenAPI, MCP and `system.operations` show."""

from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Struct

REFERENCE = "#/components/schemas/{name}"


def components(kinds: Iterable[type[Struct]]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """A reference to each type's schema, and the schemas by name.

    Raises:
        ValueError: two different types have the same name.
    """
    kinds = list(kinds)
    references, schemas = msgspec.json.schema_components(kinds, ref_template=REFERENCE)
    doubled = [name for name in schemas if "." in name or name.endswith("_")]
    if doubled:
        raise ValueError(f"these types share a name with another: {sorted(doubled)}")
    return list(references), schemas


def schema_of(kind: type[Struct]) -> dict[str, Any]:
    """A type's schema, whole: what it refers to stands under `$defs`."""
    schema: dict[str, Any] = msgspec.json.schema(kind)
    return schema
