"""What is asked of `/v1/responses`.

Fields that change nothing here (`user`, `metadata`, `reasoning`, `truncation`) are passed over,
or told again in the answer.
"""

from typing import Any, Literal

from msgspec import Struct

from sensorium.core.errors import InvalidInputError, NotSupportedError
from sensorium.transports.http.compat.openai.responses.items import Item
from sensorium.transports.http.compat.openai.sampling import (
    Likeliest,
    ModelName,
    refuse,
)
from sensorium.transports.http.compat.spoken import MAX_TOKENS
from sensorium.transports.http.compat.tools import FunctionTool, tool

REFUSED = ("background", "conversation", "prompt")
LOGPROBS = "message.output_text.logprobs"
NAMES = {
    "max_tokens": "max_output_tokens",
    "json_schema": "text.format",
    "messages": "input",
}
"""What the fields of ours are called here."""


class Function(FunctionTool, kw_only=True):
    """A tool; one that is no function may have no name."""

    type: str
    name: str = ""


class Chosen(Struct, omit_defaults=True):
    """The tool to call."""

    type: str
    name: str = ""


class Format(Struct, omit_defaults=True):
    """What the text is held to."""

    type: str = ""
    name: str = ""
    schema: dict[str, Any] | None = None
    strict: bool | None = None
    description: str | None = None


class Text(Struct):
    """How the text is to be."""

    format: Format | None = None


class CreateResponse(Struct, kw_only=True):
    """The body."""

    model: ModelName = "default"
    input: str | list[Item] | None = None
    instructions: str | None = None
    previous_response_id: str | None = None
    store: bool | None = None
    stream: bool | None = None
    max_output_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_logprobs: Likeliest | None = None
    include: list[str] | None = None
    tools: list[Function] | None = None
    tool_choice: Literal["none", "auto", "required"] | Chosen | None = None
    parallel_tool_calls: bool | None = None
    text: Text | None = None
    metadata: dict[str, str] | None = None
    background: bool | None = None
    conversation: Any = None
    prompt: Any = None
    seed: int | None = None

    @property
    def items(self) -> list[Item]:
        """What is said, as items."""
        if isinstance(self.input, str):
            return [Item(role="user", content=self.input)]
        return self.input or []

    @property
    def tells_logprobs(self) -> bool:
        """Whether likelihoods of tokens are wanted."""
        return bool(self.top_logprobs) or LOGPROBS in (self.include or [])

    def fields(self, messages: list[dict[str, Any]]) -> dict[str, Any]:
        """The fields of the request of `chat.complete` and `chat.stream`.

        Raises:
            InvalidInputError: it does not fit together.
            NotSupportedError: it asks for what there is not.
        """
        refuse(self, REFUSED)
        instructions = {"role": "system", "content": self.instructions}
        asked = {
            "model": self.model,
            "messages": [instructions, *messages] if self.instructions else messages,
            "max_tokens": MAX_TOKENS if self.max_output_tokens is None else self.max_output_tokens,
            "temperature": 1.0 if self.temperature is None else self.temperature,
            "top_p": 1.0 if self.top_p is None else self.top_p,
            "tools": [_tool(each, index) for index, each in enumerate(self.tools or [])],
            "tool_choice": _choice(self.tool_choice),
            "json_schema": _schema(self.text),
        }
        if self.seed is not None:
            asked["seed"] = self.seed % 2**32
        if self.tells_logprobs:
            asked["logprobs"] = max(1, self.top_logprobs or 0)
        return asked


def _tool(given: Function, index: int) -> dict[str, Any]:
    if given.type != "function":
        raise NotSupportedError("the tools here are functions", details={"at": f"tools[{index}]"})
    return tool(given)


def _choice(given: str | Chosen | None) -> str:
    if not isinstance(given, Chosen):
        return given or "auto"
    if given.type != "function":
        raise NotSupportedError("the tools here are functions", details={"at": "tool_choice"})
    return given.name


def _schema(given: Text | None) -> dict[str, Any]:
    kind = given.format if given is not None else None
    match kind.type if kind is not None else "text":
        case "text":
            return {}
        case "json_object":
            return {"type": "object"}
        case "json_schema" if kind is not None:
            return kind.schema or {"type": "object"}
        case other:
            raise InvalidInputError(
                f"{other!r} is none that is known", details={"at": "text.format"}
            )
