"""The bodies of `/api/chat` and `/api/generate`, as requests of `chat` and `text`."""

from typing import Any

import msgspec
from msgspec import Struct

from sensorium.core.errors import NotSupportedError
from sensorium.transports.http.compat.ollama.requests import Generating
from sensorium.transports.http.compat.pictures import from_base64
from sensorium.transports.http.compat.tools import FunctionTool, tool


class Function(Struct):
    """A function's call."""

    name: str
    arguments: dict[str, Any] | str | None = None


class Call(Struct):
    """A tool's call."""

    function: Function
    id: str | None = None


class Said(Struct):
    """A message."""

    role: str
    content: str | None = None
    thinking: str | None = None
    images: list[str] | None = None
    tool_calls: list[Call] | None = None
    tool_name: str | None = None
    tool_call_id: str | None = None
    name: str | None = None


class ToolEntry(Struct):
    """A tool that may be called."""

    function: FunctionTool


class Chat(Generating, kw_only=True):
    """The body of `/api/chat`."""

    messages: list[Said] | None = None
    tools: list[ToolEntry] | None = None

    @property
    def noun(self) -> str:
        """Whose operations answer it."""
        return "chat"

    @property
    def says_nothing(self) -> bool:
        """Whether it only has the model loaded, or unloaded."""
        return not self.messages

    def request(self) -> dict[str, Any]:
        """The request of `chat.complete` and `chat.stream`.

        Raises:
            SensoriumError: it asks for what there is not, or has what is no picture.
        """
        said = enumerate(self.messages or [])
        return {
            **self.common(),
            "messages": [_message(each, f"messages[{number}]") for number, each in said],
            "tools": [tool(each.function) for each in self.tools or []],
        }


class Generate(Generating, kw_only=True):
    """The body of `/api/generate`: a text as it stands (`raw`), or a question."""

    prompt: str | None = None
    system: str | None = None
    template: str | None = None
    suffix: str | None = None
    raw: bool | None = None
    images: list[str] | None = None
    context: list[int] | None = None

    @property
    def noun(self) -> str:
        """Whose operations answer it."""
        return "text" if self.raw else "chat"

    @property
    def says_nothing(self) -> bool:
        """Whether it only has the model loaded, or unloaded."""
        return not self.prompt

    def request(self) -> dict[str, Any]:
        """The request of `text.complete` where it is `raw`, or of `chat.complete`.

        Raises:
            SensoriumError: it asks for what there is not, or has what is no picture.
        """
        self._refuse()
        if self.raw:
            return {**self.common(), "prompt": self.prompt or ""}
        system = [{"role": "system", "content": self.system}] if self.system else []
        asked = {"role": "user", "content": self.prompt or "", "images": _pictures(self.images, "")}
        return {**self.common(), "messages": [*system, asked]}

    def _refuse(self) -> None:
        if self.suffix:
            raise _no("suffix", "models here go on with a text, and fill none in")
        if self.template:
            raise _no("template", "a model's own is used; with raw, the prompt is taken as it is")
        if self.context:
            raise _no("context", "it is not kept; send what was said to /api/chat")
        if self.raw and (self.system or self.images):
            raise _no("raw", "the prompt is taken as it is, without a system text and images")


def _message(given: Said, where: str) -> dict[str, Any]:
    return {
        "role": given.role,
        "content": given.content or "",
        "reasoning": given.thinking or "",
        "images": _pictures(given.images, f"{where}."),
        "name": given.tool_name or given.name or "",
        "tool_call_id": given.tool_call_id or "",
        "tool_calls": [
            {"id": each.id or "", "name": each.function.name, "arguments": _text(each.function)}
            for each in given.tool_calls or []
        ],
    }


def _pictures(given: list[str] | None, where: str) -> list[dict[str, Any]]:
    """Pictures, which come before a message's text."""
    return [
        from_base64(each, 0, f"{where}images[{number}]") for number, each in enumerate(given or [])
    ]


def _text(given: Function) -> str:
    found = given.arguments or {}
    return found if isinstance(found, str) else msgspec.json.encode(found).decode()


def _no(field: str, message: str) -> NotSupportedError:
    return NotSupportedError(message, details={"at": field})
