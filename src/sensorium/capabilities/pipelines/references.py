"""References to what a pipeline was given and what its stages gave: `$scan.clusters[0].template`.

    $NAME            an input's map ($input) or what a stage gave, and then any of
    .member          a member of a map
    ["any member"]   the same, for members with other signs in them
    [3], [-1]        an item of a list, from the end if negative
    [*]              each item of a list: what follows is taken of every one

A text that begins with `$$` is a literal that begins with `$`.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from math import isfinite
from typing import Any

import msgspec
from msgspec import Struct

from sensorium.core.errors import InvalidInputError

MAX_STEPS = 16
MAX_NESTING = 32
INPUT = "input"
_HEAD = re.compile(r"\$([a-z][a-z0-9_]*)")
_STEP = re.compile(
    r"\.(?P<member>[A-Za-z_][A-Za-z0-9_-]*)|\[(?P<index>-?\d{1,9})\]|(?P<each>\[\*\])"
    r'|\[(?P<quoted>"(?:[^"\\]|\\.)*")\]'
)


class Each:
    """The step `[*]`."""

    def __repr__(self) -> str:
        return "[*]"


EACH = Each()
Step = str | int | Each


@dataclass(frozen=True)
class Reference:
    """A parsed reference: `input` or a stage's name, and the steps from there."""

    text: str
    root: str
    steps: tuple[Step, ...]


def scan_reference(text: str) -> tuple[Reference, str]:
    """The reference with which a text begins, and the rest of the text.

    Raises:
        ValueError: it begins with none.
    """
    head = _HEAD.match(text)
    if head is None:
        raise ValueError("a reference is written $input.NAME or $STAGE; $$ stands for a plain $")
    at = head.end()
    steps: list[Step] = []
    while (step := _STEP.match(text, at)) is not None:
        steps.append(_step(step))
        at = step.end()
    if len(steps) > MAX_STEPS:
        raise ValueError(f"a reference takes at most {MAX_STEPS} steps")
    return Reference(text[:at], head[1], tuple(steps)), text[at:]


def parse_reference(text: str) -> Reference:
    """The reference that a text is; errors as for `scan_reference`."""
    found, rest = scan_reference(text)
    if rest:
        raise ValueError(f"{found.text} is followed by {rest[:40]!r}, which is no step")
    return found


def parse_tree(node: Any, depth: int = 0) -> Any:
    """A request with its references parsed, and its literals as they are meant.

    Raises:
        ValueError: a text begins with `$` and is no reference, or a float is not finite.
    """
    if depth > MAX_NESTING:
        raise ValueError("it nests too deeply")
    match node:
        case str():
            if node.startswith("$$"):
                return node[1:]
            return parse_reference(node) if node.startswith("$") else node
        case list():
            return [parse_tree(item, depth + 1) for item in node]
        case dict():
            return {key: parse_tree(member, depth + 1) for key, member in node.items()}
        case float() if not isfinite(node):
            raise ValueError("a float must be finite")
    return node


def references_in(tree: Any) -> Iterator[Reference]:
    """The references that a parsed tree holds."""
    match tree:
        case Reference():
            yield tree
        case list():
            for item in tree:
                yield from references_in(item)
        case dict():
            for member in tree.values():
                yield from references_in(member)


def follow(value: Any, steps: tuple[Step, ...], shown: str) -> Any:
    """What stands at the end of the steps.

    Raises:
        InvalidInputError: there is nothing there; says at which step.
    """
    for at, step in enumerate(steps):
        match step:
            case Each():
                items = _expect(value, list, step, shown)
                return [follow(item, steps[at + 1 :], shown) for item in items]
            case int():
                value = _item(_expect(value, list, step, shown), step, shown)
            case str():
                value = _member(value, step, shown)
    return value


def _step(match: re.Match[str]) -> Step:
    if match["each"]:
        return EACH
    if match["index"]:
        return int(match["index"])
    if match["quoted"]:
        try:
            return msgspec.json.decode(match["quoted"], type=str)
        except msgspec.MsgspecError:
            raise ValueError(f"{match['quoted'][:40]} is no text") from None
    return match["member"]


def _item(items: list[Any], index: int, shown: str) -> Any:
    if not -len(items) <= index < len(items):
        raise InvalidInputError(f"{shown}: there is no item {index}, of {len(items)}")
    return items[index]


def _member(value: Any, name: str, shown: str) -> Any:
    if isinstance(value, Struct):
        value = msgspec.structs.asdict(value)
    members = _expect(value, dict, name, shown)
    if name not in members:
        raise InvalidInputError(f"{shown}: there is no member {name[:80]!r}")
    return members[name]


def _expect(value: Any, kind: type, step: Step, shown: str) -> Any:
    if not isinstance(value, kind):
        wanted = "list" if kind is list else "map"
        step_shown = f"[{step}]" if isinstance(step, int) else str(step)
        raise InvalidInputError(f"{shown}: {step_shown} is taken of what is no {wanted}")
    return value
