"""What is known of a value before it is there: the annotated type that it will have."""

from collections.abc import Iterable
from enum import Enum
from functools import lru_cache
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

import msgspec
from msgspec import Struct
from msgspec.structs import FieldInfo
from msgspec.structs import fields as struct_fields

from sensorium.capabilities.pipelines.references import Each, Reference, Step
from sensorium.core.errors import InvalidInputError
from sensorium.core.values import STRUCTS, Spec, validate

SINGLE: dict[Any, frozenset[str]] = {
    type(None): frozenset({"null"}),
    bool: frozenset({"bool"}),
    int: frozenset({"int"}),
    float: frozenset({"float", "int"}),
    str: frozenset({"text"}),
    bytes: frozenset({"bytes", "text"}),  # JSON has base64 for them
    list: frozenset({"list"}),
    dict: frozenset({"map"}),
}
_OF_KIND = {
    "null": type(None),
    "bool": bool,
    "int": int,
    "float": float,
    "text": str,
    "bytes": bytes,
    **STRUCTS,
}
ANYTHING: Any = Any


def bare(kind: Any) -> Any:
    """A type without its annotations."""
    while hasattr(kind, "__metadata__"):
        kind = kind.__origin__
    return kind


@lru_cache(1024)
def fields_of(kind: Any) -> dict[str, FieldInfo] | None:
    """The fields of a Struct by the names that JSON has for them; None where it is none."""
    kind = bare(kind)
    if not (isinstance(kind, type) and issubclass(kind, Struct)):
        return None
    return {each.encode_name: each for each in struct_fields(kind)}


def of_spec(spec: Spec) -> Any:
    """The type of an input."""
    inner = ANYTHING if spec.item is None else of_spec(spec.item)
    kind: Any = {"list": list[inner], "map": dict[str, inner]}.get(spec.kind)  # type: ignore[valid-type]
    kind = kind or _OF_KIND.get(spec.kind, ANYTHING)
    return kind | None if spec.nullable and kind is not ANYTHING else kind


def after(kind: Any, reference: Reference) -> Any:
    """The type of what stands at the end of a reference's steps, `Any` where nobody knows.

    Raises:
        ValueError: nothing will ever stand there.
    """
    for at, step in enumerate(reference.steps):
        if isinstance(step, Each):
            item = _one_step(kind, step, reference)
            rest = Reference(reference.text, reference.root, reference.steps[at + 1 :])
            inner = after(item, rest)
            return list[inner]  # type: ignore[valid-type]
        kind = _one_step(kind, step, reference)
    return kind


def kinds_of(kind: Any) -> frozenset[str] | None:
    """The kinds of value that a type takes; None for any."""
    kind = bare(kind)
    if kind in SINGLE:
        return SINGLE[kind]
    if get_origin(kind) in (Union, UnionType):
        found = [kinds_of(option) for option in get_args(kind)]
        return None if None in found else frozenset().union(*filter(None, found))
    if get_origin(kind) is Literal or (isinstance(kind, type) and issubclass(kind, Enum)):
        return SINGLE[str]
    if get_origin(kind) in (list, tuple):
        return SINGLE[list]
    if get_origin(kind) is dict or kind in STRUCTS.values() or fields_of(kind) is not None:
        return SINGLE[dict]
    return None


def check_tree(kind: Any, tree: Any, types: Any, at: str) -> Iterable[tuple[str, str]]:
    """What is wrong with a parsed tree as a value of that type: where, and why.

    `types` tells a reference's type, or raises ValueError where it leads nowhere.
    """
    if isinstance(tree, Reference):
        yield from _check_reference(kind, tree, types, at)
        return
    kind = kind if bare(kind) is not msgspec.Raw else ANYTHING
    fields = fields_of(kind)
    if fields is not None and isinstance(tree, dict):
        yield from _check_members(fields, tree, types, at)
    elif _refers(tree):
        for step, inner, member in _inside(kind, tree):
            yield from check_tree(inner, member, types, at + step)
    elif kind is not ANYTHING:
        try:
            validate(tree, kind)
        except InvalidInputError as error:
            place = str(error.details.get("at", "$")).removeprefix("$")
            yield at + place, error.message


def _check_reference(
    kind: Any, reference: Reference, types: Any, at: str
) -> Iterable[tuple[str, str]]:
    try:
        given = types(reference)
    except ValueError as error:
        yield at, str(error)
        return
    wanted, found = kinds_of(kind), kinds_of(given)
    if wanted is not None and found is not None and not wanted & found:
        shown = " or ".join(sorted(found - {"null"}) or ["null"])
        yield at, f"takes {' or '.join(sorted(wanted))}, and {reference.text} is {shown}"


def _check_members(
    fields: dict[str, FieldInfo], tree: dict[str, Any], types: Any, at: str
) -> Iterable[tuple[str, str]]:
    for name, member in tree.items():
        here = f"{at}.{name}" if at else name
        if name not in fields:
            yield here, f"there is no such field; there is {', '.join(fields) or 'none'}"
        else:
            yield from check_tree(fields[name].type, member, types, here)
    for name, each in fields.items():
        if each.required and name not in tree:
            yield (f"{at}.{name}" if at else name), "must be given"


def _inside(kind: Any, tree: Any) -> Iterable[tuple[str, Any, Any]]:
    """What a list or a map holds: the step to it, its type, itself."""
    inner = ANYTHING
    options = get_args(bare(kind)) if get_origin(bare(kind)) in (Union, UnionType) else [kind]
    for option in map(bare, options):
        if get_origin(option) is list and isinstance(tree, list):
            inner = get_args(option)[0]
        elif get_origin(option) is dict and isinstance(tree, dict):
            inner = get_args(option)[1]
        elif fields_of(option) is not None and isinstance(tree, dict):
            return [("", option, tree)]
    if isinstance(tree, list):
        return [(f"[{number}]", inner, item) for number, item in enumerate(tree)]
    return [(f".{name}", inner, member) for name, member in tree.items()]


def _refers(tree: Any) -> bool:
    match tree:
        case Reference():
            return True
        case list():
            return any(map(_refers, tree))
        case dict():
            return any(map(_refers, tree.values()))
    return False


def _one_step(kind: Any, step: Step, reference: Reference) -> Any:
    kind = _without_null(bare(kind))
    found = kinds_of(kind)
    if kind in (ANYTHING, msgspec.Raw) or found is None:
        return ANYTHING
    wanted = "map" if isinstance(step, str) else "list"
    if wanted not in found:
        raise ValueError(f"{reference.text}: {_shown(step)} is taken of what is no {wanted}")
    if isinstance(step, str):
        return _member(kind, step, reference)
    arguments = get_args(kind) if get_origin(kind) in (list, tuple) else ()
    return arguments[0] if arguments else ANYTHING


def _member(kind: Any, name: str, reference: Reference) -> Any:
    fields = fields_of(kind)
    if fields is None:
        arguments = get_args(kind) if get_origin(kind) is dict else ()
        return arguments[1] if arguments else ANYTHING
    if name not in fields:
        raise ValueError(f"{reference.text}: there is no {name!r}; there is {', '.join(fields)}")
    return fields[name].type


def _without_null(kind: Any) -> Any:
    """A type without null, `Any` where several others are left."""
    if get_origin(kind) not in (Union, UnionType):
        return kind
    others = [option for option in get_args(kind) if option is not type(None)]
    return bare(others[0]) if len(others) == 1 else ANYTHING


def _shown(step: Step) -> str:
    return f"[{step}]" if isinstance(step, int) else str(step)
