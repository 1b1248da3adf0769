"""What OpenAI's clients ask, as requests of our operations.

Fields that change nothing here (`user`, `store`, `metadata`) are passed over, as other servers do.
"""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from sensorium.core.errors import InvalidInputError, NotSupportedError

MAX_TOKENS = 4096
"""Of an answer whose length is not said; the model's context ends it earlier."""


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
    arguments: str = "{}"


class Call(Struct):
    """A tool's call."""

    function: Function
    id: str = ""


class ChatMessage(Struct):
    """A message."""

    role: str
    content: str | list[ContentPart] | None = None
    name: str = ""
    tool_calls: list[Call] | None = None
    tool_call_id: str = ""
    reasoning_content: str | None = None


class FunctionTool(Struct):
    """A function that may be called."""

    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None


class ToolEntry(Struct):
    """A tool that may be called."""

    type: str = "function"
    function: FunctionTool | None = None


class Named(Struct):
    """The tool to call."""

    function: FunctionTool | None = None
    type: str = "function"


class SchemaFormat(Struct):
    """A JSON schema."""

    schema: dict[str, Any] = {}
    name: str = ""


class ResponseFormat(Struct):
    """What the answer is held to."""

    type: str
    json_schema: SchemaFormat | None = None


class StreamOptions(Struct):
    """How a stream is told."""

    include_usage: bool = False


class Common(Struct, kw_only=True):
    """What all that make text ask."""

    model: Annotated[str, Meta(min_length=1)] = "default"
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    n: int | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    stop: str | list[str] | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logit_bias: dict[str, float] | None = None
    seed: int | None = None
    top_k: int | None = None
    min_p: float | None = None
    grammar: str | None = None

    @property
    def include_usage(self) -> bool:
        """Whether a stream ends with what it took."""
        return self.stream_options is not None and self.stream_options.include_usage

    def sampling(self) -> dict[str, Any]:
        """Our fields, of what is said; OpenAI's defaults for those that it has."""
        stop = [self.stop] if isinstance(self.stop, str) else self.stop
        given = {
            "max_tokens": self.max_tokens if self.max_tokens is not None else MAX_TOKENS,
            "temperature": 1.0 if self.temperature is None else self.temperature,
            "top_p": 1.0 if self.top_p is None else self.top_p,
            "n": self.n,
            "stop": stop,
            "presence_penalty": self.presence_penalty,
            "frequency_penalty": self.frequency_penalty,
            "logit_bias": self.logit_bias,
            "seed": None if self.seed is None else self.seed % 2**32,
            "top_k": self.top_k,
            "min_p": self.min_p,
            "grammar": self.grammar,
        }
        return {name: value for name, value in given.items() if value is not None}


class ChatCompletion(Common, kw_only=True):
    """The body of `/v1/chat/completions`."""

    messages: Annotated[list[ChatMessage], Meta(min_length=1)]
    max_completion_tokens: int | None = None
    tools: list[ToolEntry] | None = None
    tool_choice: Literal["none", "auto", "required"] | Named | None = None
    response_format: ResponseFormat | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None

    def request(self) -> dict[str, Any]:
        """The request of `chat.complete` and `chat.stream`.

        Raises:
            InvalidInputError: it does not fit together.
            NotSupportedError: it asks for what there is not.
        """
        asked = {
            **self.sampling(),
            "model": self.model,
            "messages": [_message(each) for each in self.messages],
            "tools": [_tool(each) for each in self.tools or []],
            "tool_choice": _choice(self.tool_choice),
            "json_schema": _schema(self.response_format),
        }
        if self.max_completion_tokens is not None:
            asked["max_tokens"] = self.max_completion_tokens
        if self.logprobs:
            asked["logprobs"] = max(1, self.top_logprobs or 0)
        return asked


def _message(given: ChatMessage) -> dict[str, Any]:
    content, images = _content(given.content)
    return {
        "role": "system" if given.role == "developer" else given.role,
        "content": content,
        "images": images,
        "name": given.name,
        "reasoning": given.reasoning_content or "",
        "tool_call_id": given.tool_call_id,
        "tool_calls": [
            {"id": call.id, "name": call.function.name, "arguments": call.function.arguments}
            for call in given.tool_calls or []
        ],
    }


def _content(given: str | list[ContentPart] | None) -> tuple[str, list[dict[str, Any]]]:
    """The text, and the pictures with their places in it."""
    if given is None or isinstance(given, str):
        return given or "", []
    text, images = "", []
    for part in given:
        if part.image_url is not None:
            images.append({"url": part.image_url.url, "at": len(text)})
        elif part.type in ("text", "refusal"):
            text += part.text or part.refusal
        else:
            raise NotSupportedError(f"messages have text and images here, and no {part.type!r}")
    return text, images


def _tool(given: ToolEntry) -> dict[str, Any]:
    if given.function is None:
        raise NotSupportedError("the tools here are functions")
    return {
        "name": given.function.name,
        "description": given.function.description or "",
        "parameters": given.function.parameters or {},
    }


def _choice(given: str | Named | None) -> str:
    if isinstance(given, Named):
        if given.function is None:
            raise InvalidInputError("tool_choice names no function")
        return given.function.name
    return given or "auto"


def _schema(given: ResponseFormat | None) -> dict[str, Any]:
    match given.type if given is not None else "text":
        case "text":
            return {}
        case "json_object":
            return {"type": "object"}
        case "json_schema" if given is not None and given.json_schema is not None:
            return given.json_schema.schema or {"type": "object"}
        case other:
            raise InvalidInputError(f"response_format {other!r} is none that is known")
