"""Tools for models whose template knows of none, and calls that are held to their schemas.

The tools are told of in words, and a call is an answer that is JSON and nothing else:
`{"name": …, "arguments": {…}}`. A call that is required is made sure of by a JSON schema.
"""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from sensorium.core.conversation import Message, Tool, ToolCall, ToolCallPart, preceded
from sensorium.core.generation import Generation, Piece

Emit = Callable[[Piece], bool]
HOW = (
    'To call one, answer with JSON alone: {"name": the tool, "arguments": {…}}. '
    "You will be told its result."
)
MARK, END = "<tool_call>", "</tool_call>"
"""What many models were trained to put around a call (Hermes, Qwen)."""
OPENINGS = ("{", "[", "`", MARK)
"""What a call may begin with; anything else is no call, and is not held back."""
_JSON = json.JSONDecoder(parse_constant=int)  # which refuses NaN: it is no JSON
_BEFORE = re.compile(rf"\s*(?:{MARK})?\s*(?:```(?:json)?)?\s*")
_AFTER = re.compile(rf"\s*(?:```)?\s*(?:{END})?\s*")


def is_forced(task: Generation) -> bool:
    """Whether the model has to call a tool."""
    return bool(task.tools) and task.tool_choice != "auto"


def held(task: Generation) -> Generation:
    """The task, held to JSON that is a call of a tool that it may choose, or of its own schema.

    A call has to be where one is required; beside a schema, it may be. Else it is held to nothing.
    """
    own = [] if is_forced(task) else [task.json_schema]
    if own == [{}] or not task.tools:
        return task
    chosen = [each for each in task.tools if task.tool_choice in ("auto", "required", each.name)]
    forms = [*own, *map(_call_schema, chosen)]
    if len(forms) == 1:
        return replace(task, json_schema=forms[0])
    either = [_moved(form, f"/anyOf/{at}") for at, form in enumerate(forms)]
    return replace(task, json_schema={"anyOf": either})


def speaks_of_tools(task: Generation) -> bool:
    """Whether it has tools, or tells of calls: a later question may be asked without the tools."""
    return bool(task.tools) or any(each.tool_calls or each.role == "tool" for each in task.messages)


def told(task: Generation) -> Generation:
    """The task with its tools told of in words, and calls and results as what was said."""
    names = {call.id: call.name for each in task.messages for call in each.tool_calls}
    if not task.tools:
        return replace(task, messages=[_said(each, names) for each in task.messages])
    first, *said = task.messages
    if first.role != "system":
        first, said = Message(role="system"), task.messages
    gap = "\n\n" if first.content or first.images else ""
    opening = preceded(first, _offer(task.tools) + gap)
    return replace(task, messages=[opening, *(_said(each, names) for each in said)], tools=[])


class CallReader:
    """Hears the pieces of an answer, and hands them on; one that is a call, as a call."""

    def __init__(self, tools: Sequence[Tool], emit: Emit) -> None:
        self._names = {tool.name for tool in tools}
        self._emit = emit
        self._held: list[Piece] = []
        self._holding = True
        self._begun = ""
        """How the text begins, until that tells whether it may be a call."""

    def __call__(self, piece: Piece) -> bool:
        """Take the next piece; whether more is wanted."""
        if not self._holding:
            return self._emit(piece)
        self._held.append(piece)
        if not self._begun.startswith(OPENINGS):
            self._begun = (self._begun + piece.text).lstrip()
        if not piece.finish:
            if self._begun.startswith(OPENINGS) or MARK.startswith(self._begun):
                return self._emit(Piece())  # asks whether it is still wanted
            return self._let_go()
        calls = _calls("".join(each.text for each in self._held), self._names)
        if not calls:
            return self._let_go()
        steps = [step for each in self._held for step in each.steps]
        self._emit(Piece(tool_calls=calls, steps=steps))
        return self._emit(replace(piece, text="", steps=[], tokens=[], finish="tool_calls"))

    def _let_go(self) -> bool:
        self._holding = False
        return all(self._emit(each) for each in self._held)


def _offer(tools: Sequence[Tool]) -> str:
    """What the model is told of its tools.

    Of tools that all need no description, their names say it all: small models are trained on
    that form, in which nothing tells them how to call one.
    """
    calls = [f"{tool.name}({', '.join(_arguments(tool))})" for tool in tools]
    lines = [f"You can call these tools: {', '.join(calls)}."]
    described = [tool for tool in tools if tool.description]
    for tool in described:
        schema = msgspec.json.encode(tool.parameters).decode()
        lines.append(f"{tool.name}: {tool.description} Its arguments: {schema}")
    return "\n".join([*lines, HOW] if described else lines)


def _arguments(tool: Tool) -> list[str]:
    """The names of a tool's arguments; its schema may be wrong, as its author wrote it."""
    properties = tool.parameters.get("properties")
    return [*properties] if isinstance(properties, dict) else []


def _said(message: Message, names: dict[str, str]) -> Message:
    """A message without what only a template for tools could tell."""
    if message.role == "tool":
        of = message.name or names.get(message.tool_call_id, "the tool")
        result = preceded(message, f"The result of {of}: ")
        return Message(role="user", content=result.content, images=result.images)
    if not message.tool_calls:
        return message
    calls = "\n".join(_spelled(call) for call in message.tool_calls)
    content = f"{message.content}\n{calls}" if message.content else calls
    return replace(message, content=content, tool_calls=[])


def _spelled(call: ToolCall) -> str:
    name = msgspec.json.encode(call.name).decode()
    return f'{{"name": {name}, "arguments": {call.arguments}}}'


class _Call(Struct):
    """A call as a model writes it, under either name that models have for the arguments."""

    name: str
    arguments: dict[str, Any] | str | None = None
    parameters: dict[str, Any] | str | None = None


def _calls(text: str, names: set[str]) -> list[ToolCallPart]:
    """The calls that a text is; none where it is anything else."""
    try:
        found = [msgspec.convert(each, _Call) for each in _listed(text)]
        arguments = [msgspec.json.encode(_object(each)).decode() for each in found]
    except (ValueError, RecursionError):
        return []
    if not all(each.name in names for each in found):
        return []
    return [
        ToolCallPart(index=index, name=each.name, arguments=told)
        for index, (each, told) in enumerate(zip(found, arguments, strict=True))
    ]


def _listed(text: str) -> Iterator[Any]:
    """The JSON that a text is, of a list its items; what follows the first has a mark before it.

    Raises:
        ValueError: there is something else in it.
    """
    at = 0
    while at < len(text):
        if at and not text.startswith(MARK, at):
            raise ValueError("more than one")
        found, at = _JSON.raw_decode(text, _end(_BEFORE, text, at))
        yield from found if isinstance(found, list) else [found]
        at = _end(_AFTER, text, at)


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    return found.end() if found else at


def _object(call: _Call) -> dict[str, Any]:
    """The arguments of a call; some models write them as a text of JSON.

    Raises:
        ValueError: they are no object.
    """
    told = call.arguments or call.parameters or {}
    return msgspec.json.decode(told, type=dict[str, Any]) if isinstance(told, str) else told


def _call_schema(tool: Tool) -> dict[str, Any]:
    parameters = _moved(tool.parameters, "/properties/arguments")
    if not parameters or "properties" in parameters:
        parameters = {"additionalProperties": False, **parameters}
    return {
        "type": "object",
        "properties": {
            "name": {"const": tool.name},
            "arguments": {"type": "object", **parameters},
        },
        "required": ["name", "arguments"],
        "additionalProperties": False,
    }


def _moved(schema: Any, to: str) -> Any:
    """A schema that stands within another, at a JSON pointer: what it refers to is there now."""
    if isinstance(schema, list):
        return [_moved(each, to) for each in schema]
    if not isinstance(schema, dict):
        return schema
    found = {name: _moved(each, to) for name, each in schema.items()}
    refers = found.get("$ref")
    if isinstance(refers, str) and refers.startswith("#"):
        found["$ref"] = f"#{to}{refers[1:]}"
    return found
