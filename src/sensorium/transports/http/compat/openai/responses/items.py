"""The items of which a conversation consists, and the messages that they are."""

from typing import Any

from msgspec import Struct

from sensorium.core.errors import NotSupportedError
from sensorium.transports.http.compat.openai.messages import role
from sensorium.transports.http.compat.pictures import from_url

Message = dict[str, Any]


class Part(Struct, omit_defaults=True):
    """A part of what is said."""

    type: str
    text: str | None = None
    refusal: str | None = None
    image_url: str | None = None


class Item(Struct, omit_defaults=True, kw_only=True):
    """What was said, thought or called, or what a tool gave."""

    type: str = "message"
    id: str | None = None
    role: str | None = None
    content: str | list[Part] | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None
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
                parts = item.content if isinstance(item.content, list) else item.summary
                text = "".join(part.text or "" for part in parts or [])
                _turn(said, "reasoning")["reasoning"] = text
            case "function_call":
                calls = _turn(said, "").setdefault("tool_calls", [])
                call = {"id": item.call_id or item.id or "", "name": item.name or ""}
                calls.append({**call, "arguments": item.arguments or "{}"})
            case "function_call_output":
                content, images = _content(item.output, field)
                result = {"role": "tool", "content": content, "images": images}
                said.append({**result, "tool_call_id": item.call_id or ""})
            case other:
                raise NotSupportedError(
                    f"items of type {other!r} are not known here", details={"at": field}
                )
    return [each for each in said if each.keys() != {"role", "reasoning"}]


def _say(said: list[Message], item: Item, field: str) -> None:
    speaker = role(item.role or "user")
    content, images = _content(item.content, field)
    if speaker == "assistant":
        _turn(said, "content")["content"] = content
    else:
        said.append({"role": speaker, "content": content, "images": images})


def _turn(said: list[Message], adds: str) -> Message:
    """The assistant's message at the end, or a new one where that has such a thing already."""
    last = said[-1] if said else {}
    later = adds and ("content" in last or "tool_calls" in last)
    if last.get("role") != "assistant" or later or (adds == "reasoning" and adds in last):
        last = {"role": "assistant"}
        said.append(last)
    return last


def _content(given: str | list[Part] | None, at: str) -> tuple[str, list[dict[str, Any]]]:
    """The text, and the pictures with their places in it."""
    if given is None or isinstance(given, str):
        return given or "", []
    text, images = "", []
    for index, part in enumerate(given):
        field = f"{at}.content[{index}]"
        if part.image_url is not None:
            images.append(from_url(part.image_url, len(text), field))
        elif part.type in ("input_text", "output_text", "text", "refusal"):
            text += part.text or part.refusal or ""
        else:
            raise NotSupportedError(
                f"there are texts and images here, and no {part.type!r}", details={"at": field}
            )
    return text, images
