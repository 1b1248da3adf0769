"""One command for each operation, its options read from the request Struct."""

import inspect
import shlex
from collections.abc import Callable
from functools import partial
from types import UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import msgspec
from cyclopts import App, Parameter
from msgspec import Meta, Struct
from msgspec.structs import FieldInfo
from msgspec.structs import fields as struct_fields

from sensorium.app import MODULES
from sensorium.cli.call import Data, answer, read_request
from sensorium.cli.connect import Target
from sensorium.cli.render import Output
from sensorium.client.building import default_of
from sensorium.client.stubs import bare, description
from sensorium.core.operation import Kind, Operation
from sensorium.core.registry import Registry

F = TypeVar("F", bound=Callable[..., None])
SIMPLE = (str, int, float, bool)
LISTS: dict[Any, Any] = {str: list[str], int: list[int], float: list[float]}
TAKEN = {"data", "json", "server", "api_key", "timeout"}
"""Options that every command has; a field of that name is given within --data."""
PRESENT = {
    "models.delete": "org/name",
    "models.generate": "tinylm",
    "models.quantize": "tinylm",
    "models.unload": "machine-state",
}
"""What help names where an operation's example names a model that is nowhere, to change none."""
LONGEST_EXAMPLE = 400
MOST = 10_000_000
"""A bound above which only says that there is one."""


def nouns() -> dict[str, str]:
    """Every noun, plugins' too, and a line about it."""
    registry = Registry(MODULES)
    return {noun: f"Operations on {noun}." for noun in [*MODULES, *registry.find_plugins()]}


def add_operations(group: App, noun: str) -> None:
    """Add a command for each operation of a noun, except where one of that name is there."""
    registry = Registry(MODULES)
    if noun not in MODULES:
        registry.find_plugins()
    for operation in registry:
        if operation.name.partition(".")[0] == noun:
            verb = operation.name.partition(".")[2].replace("_", "-")
            if verb not in group:
                group.command(command(operation), name=verb, help=_help(operation))


def command(operation: Operation) -> Any:
    """A function with an option for each field that an option can hold."""
    given = {field.name: field for field in struct_fields(operation.request)}
    options = {name: made for name, field in given.items() if (made := option(field)) is not None}

    def run(
        data: str = "",
        target: Target = Target(),  # noqa: B008 - frozen
        output: Output = Output(),  # noqa: B008 - frozen
        **values: Any,
    ) -> None:
        chosen = {given[k].encode_name: v for k, v in values.items() if v is not None}
        request = read_request(operation, data, chosen)
        with target.client() as client:
            answer(client, operation, request, output)

    only = partial(inspect.Parameter, kind=inspect.Parameter.KEYWORD_ONLY)
    parameters = [only(name, default=None, annotation=kind) for name, kind in options.items()]
    parameters += [
        only("data", default="", annotation=Data),
        only("target", default=Target(), annotation=Target),
        only("output", default=Output(), annotation=Output),
    ]
    run.__dict__["__signature__"] = inspect.Signature(parameters)
    run.__annotations__ = {each.name: each.annotation for each in parameters}
    run.__name__ = operation.name.partition(".")[2]
    run.__doc__ = operation.summary
    return run


def takes(kind: type[Struct], heading: str) -> Callable[[F], F]:
    """Have a command take an option for each field of a Struct; it gets those that are given."""

    def add(run: F) -> F:
        group = Parameter(group=heading)
        more = {
            field.name: Annotated[made, group]
            for field in struct_fields(kind)
            if (made := option(field)) is not None
        }
        own = inspect.signature(run)
        first = [each for each in own.parameters.values() if each.kind is not each.VAR_KEYWORD]
        rest = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=made)
            for name, made in more.items()
        ]
        run.__dict__["__signature__"] = own.replace(parameters=[*first, *rest])
        run.__annotations__ = {
            **{name: each for name, each in run.__annotations__.items() if name != "options"},
            **more,
        }
        return run

    return add


def option(field: FieldInfo) -> Any:
    """The annotation of a field's option, or None where only --data can hold it."""
    kind = _scalar(field.type)
    if kind is None or field.name in TAKEN:
        return None
    shown: Any = False
    if not field.required and isinstance(field.default, SIMPLE) and field.default != "":
        shown = str(field.default).lower() if isinstance(field.default, bool) else field.default
    parameter = Parameter(
        help=_about(field),
        show_default=str(shown) if shown is not False else False,
        negative_iterable=(),
        allow_leading_hyphen=kind in (int, float),
    )
    return Annotated[kind | None, parameter]


def _scalar(kind: Any) -> Any:
    """The type of an option: a scalar, one of several words, or a list of scalars."""
    kind = bare(kind)
    if kind in SIMPLE or get_origin(kind) is Literal:
        return kind
    if get_origin(kind) in (Union, UnionType):
        others = [each for each in get_args(kind) if each is not type(None)]
        return _scalar(others[0]) if len(others) == 1 else None
    if get_origin(kind) is list:
        return LISTS.get(bare(get_args(kind)[0]))
    return None


def _about(field: FieldInfo) -> str:
    text = description(field.type) or ""
    bounds = _bounds(field.type)
    text += f" ({bounds})" if bounds else ""
    return f"{text} Required." if field.required else text


def _bounds(kind: Any) -> str:
    metas = [each for each in getattr(kind, "__metadata__", ()) if isinstance(each, Meta)]
    low = next((each.ge for each in metas if each.ge is not None), None)
    high = next((each.le for each in metas if each.le is not None), None)
    if low is None or high is None or abs(high) > MOST:
        return ""
    return " to ".join(f"{int(each) if each == int(each) else each:,}" for each in (low, high))


def _help(operation: Operation) -> str:
    """The docstring's summary and text, what --data holds, and an example."""
    paragraphs = operation.description.partition("\nRaises:")[0].strip().split("\n\n")
    text = "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)
    nested = [field.name for field in struct_fields(operation.request) if option(field) is None]
    if nested:
        text += f"\n\nIn --data, as JSON: {', '.join(nested)}."
    if operation.kind is Kind.DUPLEX:
        text += "\n\nReads items from standard input: a JSON object each line"
        text += ", or plain lines." if operation.lines_field else "."
    example = _example(operation)
    return f"{text}\n\nFor example:\n\n{example}" if example else text


def _example(operation: Operation) -> str:
    """The operation's own example as a command, unless it is long."""
    if operation.example is None:
        return ""
    words = ["sensorium", *operation.name.replace("_", "-").split(".")]
    values = _differing(operation.example)
    if operation.name in PRESENT:
        values["model"] = PRESENT[operation.name]
    options = {field.name for field in struct_fields(operation.request) if option(field)}
    if values and all(name in options and isinstance(v, SIMPLE) for name, v in values.items()):
        for name, value in values.items():
            words.append(f"--{'no-' if value is False else ''}{name.replace('_', '-')}")
            words += [] if isinstance(value, bool) else [str(value)]
    elif values:
        words += ["--data", msgspec.json.encode(values).decode()]
    written = shlex.join(words)
    return written if len(written) <= LONGEST_EXAMPLE else ""


def _differing(example: Struct) -> dict[str, Any]:
    """The members of an example that are not its defaults, as JSON has them."""
    values = {}
    for field in struct_fields(type(example)):
        value = msgspec.json.encode(getattr(example, field.name))
        if field.required or value != msgspec.json.encode(default_of(field)):
            values[field.encode_name] = _without_null(msgspec.json.decode(value))
            if _is_plain(member := getattr(example, field.name)):
                values[field.encode_name] = _differing(member)
    return values


def _is_plain(member: Any) -> bool:
    """Whether it is a Struct that JSON has as an object of its fields alone."""
    config = member.__struct_config__ if isinstance(member, Struct) else None
    return config is not None and config.tag is None and not config.array_like


def _without_null(value: Any) -> Any:
    """The same without members that are null, as they are wherever nothing was given."""
    if isinstance(value, dict):
        return {k: _without_null(member) for k, member in value.items() if member is not None}
    return [_without_null(member) for member in value] if isinstance(value, list) else value
