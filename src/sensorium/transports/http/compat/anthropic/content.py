"""Anthropic's messages, made of blocks, as ours."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import msgspec
from msgspec import Struct

from sensorium.core.errors import InvalidInputError
from sensorium.transports.http.compat.pictures import from_base64, from_url

FAILED = "Error: "
"""Begins the result of a tool that failed, which a message of ours has no other sign for."""


class Text(Struct, tag_field="type", tag="text"):
    """A text."""

    text: str


class Base64(Struct, tag_field="type", tag="base64"):
    """A picture's file."""

    data: str


class Url(Struct, tag_field="type", tag="url"):
    """Where a picture lies."""

    url: str


class Image(Struct, tag_field="type", tag="image"):
    """A picture."""

    source: Base64 | Url


class ToolUse(Struct, tag_field="type", tag="tool_use"):
    """A tool that the model called."""

    id: str
    name: str
    input: dict[str, Any] | None = None


class ToolResult(Struct, tag_field="type", tag="tool_result"):
    """What a tool gave."""

    tool_use_id: str
    content: str | list[Text | Image] | None = None
    is_error: bool | None = None


class Thinking(Struct, tag_field="type", tag="thinking"):
    """What the model thought."""

    thinking: str


class Redacted(Struct, tag_field="type", tag="redacted_thinking"):
    """Thoughts that another server hid; nothing here can read them."""


Block = Text | Image | ToolUse | ToolResult | Thinking | Redacted


class Said(Struct):
    """A message."""

    role: Literal["user", "assistant", "system"]
    content: str | list[Block]


def system_text(given: str | list[Text] | None) -> str:
    """What is told to the model before all messages."""
    if given is None or isinstance(given, str):
        return given or ""
    return "\n\n".join(each.text for each in given)


def messages(given: Sequence[Said]) -> list[dict[str, Any]]:
    """The messages as ours: the result of a tool is a message of its own.

    Raises:
        InvalidInputError: a block stands where it cannot.
    """
    found: list[dict[str, Any]] = []
    tools: dict[str, str] = {}
    for number, said in enumerate(given):
        if isinstance(said.content, str):
            found.append({"role": said.role, "content": said.content})
        elif said.role == "assistant":
            found.append(_answered(said.content, tools, f"messages[{number}]"))
        else:
            found += _asked(said.role, said.content, tools, f"messages[{number}]")
    return found


def _answered(blocks: Iterable[Block], tools: dict[str, str], where: str) -> dict[str, Any]:
    """A message of the model; the names of the tools that it called are noted, by id."""
    texts: list[str] = []
    thoughts: list[str] = []
    calls: list[dict[str, str]] = []
    for number, block in enumerate(blocks):
        match block:
            case Text():
                texts.append(block.text)
            case Thinking():
                thoughts.append(block.thinking)
            case ToolUse():
                tools[block.id] = block.name
                arguments = msgspec.json.encode(block.input or {}).decode()
                calls.append({"id": block.id, "name": block.name, "arguments": arguments})
            case Image() | ToolResult():
                raise _misplaced(f"{where}.content[{number}]", "an assistant")
    return {
        "role": "assistant",
        "content": "\n".join(texts),
        "reasoning": "\n".join(thoughts),
        "tool_calls": calls,
    }


def _asked(
    role: str, blocks: Iterable[Block], tools: Mapping[str, str], where: str
) -> Iterable[dict[str, Any]]:
    """The results of tools in a message, then what else it says."""
    rest: list[Text | Image] = []
    found: list[dict[str, Any]] = []
    for number, block in enumerate(blocks):
        match block:
            case Text() | Image():
                rest.append(block)
            case ToolResult():
                found.append(_result(block, tools, f"{where}.content[{number}]"))
            case _:
                raise _misplaced(f"{where}.content[{number}]", f"a {role}")
    if rest or not found:
        found.append({"role": role, **_parts(rest, where)})
    return found


def _result(block: ToolResult, tools: Mapping[str, str], where: str) -> dict[str, Any]:
    given = [Text(block.content)] if isinstance(block.content, str) else block.content or []
    result = _parts(given, where)
    if block.is_error:
        images = [{**each, "at": each["at"] + len(FAILED)} for each in result["images"]]
        result = {"content": FAILED + result["content"], "images": images}
    return {
        "role": "tool",
        "tool_call_id": block.tool_use_id,
        "name": tools.get(block.tool_use_id, ""),
        **result,
    }


def _parts(blocks: Iterable[Text | Image], where: str) -> dict[str, Any]:
    """Texts, a line each, and the pictures with their places among them."""
    text: list[str] = []
    images: list[dict[str, Any]] = []
    length = 0
    for block in blocks:
        if isinstance(block, Image):
            images.append(_picture(block, length, f"{where}.content"))
            continue
        line = f"\n{block.text}" if text else block.text
        text.append(line)
        length += len(line)
    return {"content": "".join(text), "images": images}


def _picture(block: Image, at: int, where: str) -> dict[str, Any]:
    if isinstance(block.source, Url):
        return from_url(block.source.url, at, where)
    return from_base64(block.source.data, at, where)


def _misplaced(where: str, whose: str) -> InvalidInputError:
    return InvalidInputError(f"{whose}'s message has no such block", details={"at": where})
