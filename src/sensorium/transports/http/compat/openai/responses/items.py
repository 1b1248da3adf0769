"""The items of which a conversation consists, and the messages that they are."""

from typing import Any

import msgspec
from msgspec import Struct

from sensorium.core.errors import NotSupportedError
from sensorium.transports.http.compat.openai.messages import Part, content, role

Message = dict[str, Any]


class Item(Struct, omit_defaults=True, kw_only=True):
    """What was said, thought or called, or what a tool gave."""

    type: str = "message"
    id: str | None = None
    role: str | None = None
    content: str | list[Part] | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None
    input: str | None = None
    output: str | list[Part] | None = None
    summary: list[Part] | None = None
    status: str | None = None


def messages(items: list[Item]) -> list[Message]:
    """The messages: what an assistant thinks, says and calls at a stretch is one of them.

    Thoughts after which it neither says nor calls anything are left out.

    Raises:
        InvalidInputError: a picture is none.
        NotSupportedError: an item is of a kind that is not known here.
    """
    said: list[Message] = []
    for index, item in enumerate(items):
        field = f"input[{index}]"
        match item.type:
            case "message":
                _say(said, item, field)
            case "reasoning":
                text, _ = content(item.content or item.summary, field)
                _turn(said, "reasoning")["reasoning"] = text
            case "function_call" | "custom_tool_call":
                calls = _turn(said, "").setdefault("tool_calls", [])
                call = {"id": item.call_id or item.id or "", "name": item.name or ""}
                calls.append({**call, "arguments": _arguments(item)})
            case "function_call_output" | "custom_tool_call_output":
                text, images = content(item.output, field)
                result = {"role": "tool", "content": text, "images": images}
                said.append({**result, "tool_call_id": item.call_id or ""})
            case other:
                raise NotSupportedError(
                    f"items of type {other!r} are not known here", details={"at": field}
                )
    return [each for each in said if each.keys() != {"role", "reasoning"}]


def _arguments(item: Item) -> str:
    """A JSON object; what another kind of tool is given is text, and stands in one."""
    if item.input is None:
        return item.arguments or "{}"
    return msgspec.json.encode({"input": item.input}).decode()


def _say(said: list[Message], item: Item, field: str) -> None:
    speaker = role(item.role or "user")
    text, images = content(item.content, field)
    if speaker == "assistant":
        _turn(said, "content")["content"] = text
    else:
        said.append({"role": speaker, "content": text, "images": images})


def _turn(said: list[Message], adds: str) -> Message:
    """The assistant's message at the end, or a new one where that has such a thing already."""
    last = said[-1] if said else {}
    later = adds and ("content" in last or "tool_calls" in last)
    if last.get("role") != "assistant" or later or (adds == "reasoning" and adds in last):
        last = {"role": "assistant"}
        said.append(last)
    return last
