"""`/v1/chat/completions`."""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from sensorium.core.errors import InvalidInputError, NotSupportedError
from sensorium.transports.http.compat.call import Call
from sensorium.transports.http.compat.openai import messages
from sensorium.transports.http.compat.openai.chat_answers import ChatSpeaker, completion
from sensorium.transports.http.compat.openai.messages import ChatMessage, Tool
from sensorium.transports.http.compat.openai.sampling import (
    Common,
    Likeliest,
    SchemaFormat,
    refuse,
)
from sensorium.transports.http.compat.spoken import MAX_TOKENS, Whole
from sensorium.transports.http.compat.tools import FunctionTool, tool
from sensorium.transports.http.speaking import speak

REFUSED = (
    *("audio", "functions", "function_call", "web_search_options", "chat_template_kwargs"),
    *("guided_json", "guided_regex", "guided_choice", "guided_grammar", "structured_outputs"),
)
"""What would make another answer, and is not done; where it says nothing, it is passed over."""


class Named(Struct):
    """The tool to call."""

    type: str = "function"
    function: FunctionTool | None = None


class ResponseFormat(Struct):
    """What the answer is held to."""

    type: str
    json_schema: SchemaFormat | None = None


class ChatCompletion(Common, kw_only=True):
    """The body."""

    messages: Annotated[list[ChatMessage], Meta(min_length=1)]
    max_completion_tokens: int | None = None
    tools: list[Tool] | None = None
    tool_choice: Literal["none", "auto", "required"] | Named | None = None
    response_format: ResponseFormat | None = None
    logprobs: bool | None = None
    top_logprobs: Likeliest | None = None
    modalities: list[str] | None = None
    audio: Any = None
    functions: Any = None
    function_call: Any = None
    web_search_options: Any = None
    chat_template_kwargs: Any = None
    guided_json: Any = None
    guided_regex: Any = None
    guided_choice: Any = None
    guided_grammar: Any = None
    structured_outputs: Any = None

    def fields(self) -> dict[str, Any]:
        """The fields of the request of `chat.complete` and `chat.stream`.

        Raises:
            InvalidInputError: it does not fit together.
            NotSupportedError: it asks for what there is not.
        """
        refuse(self, REFUSED)
        if self.modalities not in (None, [], ["text"]):
            raise NotSupportedError("answers are text here", details={"at": "modalities"})
        if self.top_logprobs and not self.logprobs:
            raise InvalidInputError("it wants logprobs: true", details={"at": "top_logprobs"})
        asked = {
            **self.sampling(MAX_TOKENS),
            "model": self.model,
            "messages": [
                messages.message(each, f"messages[{index}]")
                for index, each in enumerate(self.messages)
            ],
            "tools": [
                tool(_function(each, f"tools[{index}]"))
                for index, each in enumerate(self.tools or [])
            ],
            "tool_choice": _choice(self.tool_choice),
            "json_schema": _schema(self.response_format),
        }
        if self.max_completion_tokens is not None:
            asked["max_tokens"] = self.max_completion_tokens
        if self.logprobs:
            asked["logprobs"] = max(1, self.top_logprobs or 0)
        return asked

    def names(self) -> dict[str, str]:
        """What the fields of ours are called that have other names in the body."""
        names = {"json_schema": "response_format", "repeat_penalty": "repetition_penalty"}
        if self.max_completion_tokens is not None:
            names["max_tokens"] = "max_completion_tokens"
        return names


async def chat_completions(call: Call) -> None:
    """Answer a conversation, whole or as it comes."""
    asked, request = await call.read_for(
        "chat.complete", ChatCompletion, ChatCompletion.fields, ChatCompletion.names
    )
    exchange, top = call.exchange, asked.top_logprobs or 0
    if asked.stream:
        items = call.dispatcher.stream("chat.stream", request, call.caller)
        speaker = ChatSpeaker(exchange.request_id, asked.model, usage=asked.include_usage, top=top)
        await speak(exchange, items, speaker)
        return
    with exchange.while_connected():
        found = await call.ask("chat.complete", request, Whole)
    await call.answer(completion(found, exchange.request_id, top=top))


def _function(given: Tool, field: str) -> FunctionTool:
    if given.function is None:
        raise NotSupportedError("the tools here are functions", details={"at": field})
    return given.function


def _choice(given: str | Named | None) -> str:
    if not isinstance(given, Named):
        return given or "auto"
    if given.function is None:
        raise InvalidInputError("it names no function", details={"at": "tool_choice"})
    return given.function.name


def _schema(given: ResponseFormat | None) -> dict[str, Any]:
    match given.type if given is not None else "text":
        case "text":
            return {}
        case "json_object":
            return {"type": "object"}
        case "json_schema" if given is not None and given.json_schema is not None:
            return given.json_schema.schema or {"type": "object"}
        case other:
            raise InvalidInputError(
                f"{other!r} is none that is known", details={"at": "response_format"}
            )
