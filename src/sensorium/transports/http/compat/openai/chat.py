"""`/v1/chat/completions`."""

from typing import Annotated, Any

from msgspec import Meta, Struct

from sensorium.core.errors import InvalidInputError, NotSupportedError
from sensorium.transports.http.compat.call import Call
from sensorium.transports.http.compat.openai.chat_answers import ChatSpeaker, completion
from sensorium.transports.http.compat.openai.choosing import ToolChoice, allowed, chosen
from sensorium.transports.http.compat.openai.messages import ChatMessage, message
from sensorium.transports.http.compat.openai.sampling import (
    NAMES,
    REFUSED,
    Completing,
    Likeliest,
    refuse,
)
from sensorium.transports.http.compat.spoken import MAX_TOKENS, Whole
from sensorium.transports.http.compat.tools import FunctionTool, tool
from sensorium.transports.http.speaking import speak

NOT_DONE = (
    *REFUSED,
    *("audio", "functions", "web_search_options", "chat_template", "chat_template_kwargs"),
)
"""What would make another answer, and is not done; what is empty is passed over."""


class Tool(Struct):
    """A tool that may be called."""

    function: FunctionTool


class ChatCompletion(Completing, kw_only=True):
    """The body."""

    messages: Annotated[list[ChatMessage], Meta(min_length=1)]
    max_completion_tokens: int | None = None
    tools: list[Tool] | None = None
    tool_choice: ToolChoice = None
    parallel_tool_calls: bool | None = None
    logprobs: bool | None = None
    top_logprobs: Likeliest | None = None
    modalities: list[str] | None = None
    audio: Any = None
    functions: Any = None
    web_search_options: Any = None
    chat_template: Any = None
    chat_template_kwargs: Any = None

    def fields(self) -> dict[str, Any]:
        """The fields of the request of `chat.complete` and `chat.stream`.

        Raises:
            InvalidInputError: it does not fit together.
            NotSupportedError: it asks for what there is not.
        """
        refuse(self, NOT_DONE)
        if self.modalities not in (None, [], ["text"]):
            raise NotSupportedError("answers are text here", details={"at": "modalities"})
        if self.top_logprobs and not self.logprobs:
            raise InvalidInputError("it wants logprobs: true", details={"at": "top_logprobs"})
        functions = [each.function for each in self.tools or []]
        asked = {
            **self.sampling(self.max_completion_tokens, self.max_tokens, MAX_TOKENS),
            "n": 1 if self.n is None else self.n,
            "messages": [
                message(each, f"messages[{index}]") for index, each in enumerate(self.messages)
            ],
            "tools": [tool(each) for each in allowed(self.tool_choice, functions)],
            "tool_choice": chosen(self.tool_choice),
            "parallel_tools": self.parallel_tool_calls is not False,
            "json_schema": self.json_schema,
        }
        if self.logprobs:
            asked["logprobs"] = max(1, self.top_logprobs or 0)
        return asked

    def names(self) -> dict[str, str]:
        """What the fields of ours are called that have other names in the body."""
        if self.max_completion_tokens is None:
            return NAMES
        return {**NAMES, "max_tokens": "max_completion_tokens"}


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
