"""Messages and tools of conversations, as our operations take them."""

from typing import Any

from msgspec import Struct

from sensorium.core.errors import NotSupportedError
from sensorium.transports.http.compat.pictures import from_url
from sensorium.transports.http.compat.tools import FunctionTool


class Url(Struct):
    """Where a picture lies."""

    url: str


class ContentPart(Struct):
    """A part of a message."""

    type: str
    text: str = ""
    refusal: str = ""
    image_url: Url | None = None


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
    content: str | list[ContentPart] | None = None
    name: str | None = None
    tool_calls: list[FunctionCall] | None = None
    tool_call_id: str | None = None
    reasoning_content: str | None = None


class Tool(Struct):
    """A tool that may be called."""

    type: str = "function"
    function: FunctionTool | None = None


def message(given: ChatMessage, at: str) -> dict[str, Any]:
    """A message's fields; errors are at `at`.

    Raises:
        InvalidInputError: a picture is none.
        NotSupportedError: it holds what is not read here.
    """
    content, images = _content(given.content, at)
    return {
        "role": role(given.role),
        "content": content,
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


def _content(given: str | list[ContentPart] | None, at: str) -> tuple[str, list[dict[str, Any]]]:
    """The text, and the pictures with their places in it."""
    if given is None or isinstance(given, str):
        return given or "", []
    text, images = "", []
    for index, part in enumerate(given):
        field = f"{at}.content[{index}]"
        if part.image_url is not None:
            images.append(from_url(part.image_url.url, len(text), field))
        elif part.type in ("text", "refusal"):
            text += part.text or part.refusal
        else:
            raise NotSupportedError(
                f"messages have text and images here, and no {part.type!r}",
                details={"at": field},
            )
    return text, images
