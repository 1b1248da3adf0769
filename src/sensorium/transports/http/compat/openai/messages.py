"""Messages of conversations, as our operations take them."""

from typing import Any

from msgspec import Struct

from sensorium.core.errors import NotSupportedError
from sensorium.transports.http.compat.pictures import from_url

TEXTS = ("text", "input_text", "output_text", "reasoning_text", "summary_text", "refusal")


class Url(Struct):
    """Where a picture lies."""

    url: str


class Part(Struct, omit_defaults=True):
    """A part of what is said."""

    type: str
    text: str | None = None
    refusal: str | None = None
    image_url: str | Url | None = None


class Function(Struct):
    """A function's call."""

    name: str
    arguments: str | None = None


class FunctionCall(Struct):
    """A tool's call."""

    function: Function
    id: str | None = None


class ChatMessage(Struct):
    """A message."""

    role: str
    content: str | list[Part] | None = None
    name: str | None = None
    tool_calls: list[FunctionCall] | None = None
    tool_call_id: str | None = None
    function_call: Any = None
    reasoning_content: str | None = None


def message(given: ChatMessage, at: str) -> dict[str, Any]:
    """A message's fields; errors are at `at`, and as for `content`."""
    text, images = content(given.content, at)
    if given.function_call:
        raise NotSupportedError(
            "functions are called by tool_calls here", details={"at": f"{at}.function_call"}
        )
    return {
        "role": role(given.role),
        "content": text,
        "images": images,
        "name": given.name or "",
        "reasoning": given.reasoning_content or "",
        "tool_call_id": given.tool_call_id or "",
        "tool_calls": [
            {
                "id": call.id or "",
                "name": call.function.name,
                "arguments": call.function.arguments or "{}",
            }
            for call in given.tool_calls or []
        ],
    }


def role(given: str) -> str:
    """A role; that of a developer is what models know as the system's."""
    return "system" if given == "developer" else given


def content(given: str | list[Part] | None, at: str) -> tuple[str, list[dict[str, Any]]]:
    """The text, and the pictures with their places in it; errors are at `at`.

    Raises:
        InvalidInputError: a picture is none.
        NotSupportedError: it holds what is not read here.
    """
    if given is None or isinstance(given, str):
        return given or "", []
    text, images = "", []
    for index, part in enumerate(given):
        field = f"{at}.content[{index}]"
        if part.image_url is not None:
            url = part.image_url
            images.append(from_url(url if isinstance(url, str) else url.url, len(text), field))
        elif part.type in TEXTS:
            text += part.text or part.refusal or ""
        else:
            raise NotSupportedError(
                f"messages have text and images here, and no {part.type!r}", details={"at": field}
            )
    return text, images
