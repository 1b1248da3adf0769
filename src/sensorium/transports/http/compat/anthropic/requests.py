"""What Anthropic's clients ask, as requests of our operations.

Fields that change nothing here (`metadata`, `service_tier`, `cache_control`) are passed over.
"""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

from sensorium.core.errors import InvalidInputError, NotSupportedError
from sensorium.transports.http.compat.anthropic.content import Said, Text, messages, system_text
from sensorium.transports.http.compat.tools import FunctionTool, tool

NAMES = {"stop": "stop_sequences", "json_schema": "output_config.format"}
"""What the fields of ours are called here."""


class ToolEntry(FunctionTool, kw_only=True):
    """A tool that may be called."""

    type: str | None = None
    parameters: dict[str, Any] | None = field(name="input_schema", default=None)


class ToolChoice(Struct):
    """Which tool is to be called."""

    type: Literal["auto", "any", "tool", "none"]
    name: str = ""
    disable_parallel_tool_use: bool | None = None


class ThinkingConfig(Struct):
    """Whether thoughts are told."""

    type: str
    display: str | None = None


class JsonFormat(Struct):
    """What the answer is held to."""

    type: Literal["json_schema"]
    schema: dict[str, Any]


class OutputConfig(Struct):
    """How the answer is to look."""

    format: JsonFormat | None = None


class Counting(Struct, kw_only=True):
    """The body of `/v1/messages/count_tokens`, and of every message."""

    model: Annotated[str, Meta(min_length=1)]
    messages: Annotated[list[Said], Meta(min_length=1)]
    system: str | list[Text] | None = None
    tools: list[ToolEntry] | None = None
    tool_choice: ToolChoice | None = None

    def counted(self) -> dict[str, Any]:
        """The request of `text.count`; errors as for `MessageRequest.request`."""
        system = system_text(self.system)
        first = [{"role": "system", "content": system}] if system else []
        tools = [] if self.tool_choice and self.tool_choice.type == "none" else self.tools or []
        return {
            "model": self.model,
            "messages": first + messages(self.messages),
            "tools": [_tool(each) for each in tools],
        }


class MessageRequest(Counting, kw_only=True):
    """The body of `/v1/messages`."""

    max_tokens: Annotated[int, Meta(ge=1)]
    stop_sequences: list[str] | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stream: bool | None = None
    thinking: ThinkingConfig | None = None
    output_config: OutputConfig | None = None
    output_format: JsonFormat | None = None
    """The same as `output_config.format`, of older clients."""
    mcp_servers: list[Any] | None = None

    @property
    def thinks(self) -> bool:
        """Whether the answer shows what the model thought."""
        asked = self.thinking
        return asked is not None and asked.type != "disabled" and asked.display != "omitted"

    def request(self) -> dict[str, Any]:
        """The request of `chat.complete` and `chat.stream`, with Anthropic's defaults.

        Raises:
            InvalidInputError: it does not fit together.
            NotSupportedError: it asks for what there is not.
        """
        if self.mcp_servers:
            raise NotSupportedError(
                "the tools here are those that you run", details={"at": "mcp_servers"}
            )
        config, choice = self.output_config or OutputConfig(), self.tool_choice
        held = config.format or self.output_format
        return {
            **self.counted(),
            "max_tokens": self.max_tokens,
            "temperature": 1.0 if self.temperature is None else self.temperature,
            "top_p": 1.0 if self.top_p is None else self.top_p,
            "top_k": self.top_k or 0,
            "stop": self.stop_sequences or [],
            "tool_choice": _choice(choice),
            "parallel_tools": not (choice and choice.disable_parallel_tool_use),
            "json_schema": held.schema if held else {},
        }


def _tool(given: ToolEntry) -> dict[str, Any]:
    if given.type not in (None, "custom"):
        raise NotSupportedError(
            f"there is no {given.type[:80]} here: a tool has an input_schema, and you run it",
            details={"at": "tools"},
        )
    return tool(given)


def _choice(given: ToolChoice | None) -> str:
    if given is None or given.type in ("auto", "none"):
        return "auto" if given is None else given.type
    if given.type == "any":
        return "required"
    if not given.name:
        raise InvalidInputError("say which tool by its name", details={"at": "tool_choice.name"})
    return given.name
