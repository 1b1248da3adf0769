"""Our operations' answers, as OpenAI's clients read them."""

import time
from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Struct

from sensorium.core.conversation import Message, ToolCallPart
from sensorium.core.dispatch import Answer
from sensorium.core.errors import SensoriumError
from sensorium.core.generation import Likely, Step
from sensorium.transports.http.compat.openai.errors import error_body
from sensorium.transports.http.speaking import SSE, event

FINISH = {"": None, "stop": "stop", "length": "length", "tool_calls": "tool_calls"}
encode = msgspec.json.encode


class Usage(Struct, frozen=True):
    """What is read of what a call took."""

    prompt_tokens: int = 0
    cached_tokens: int = 0
    generated_tokens: int = 0


class Told(Struct):
    """What is read of who answered."""

    model: str = ""
    usage: Usage = Usage()


class Chosen(Struct):
    """What is read of one answer."""

    message: Message
    finish: str
    index: int = 0
    steps: list[Step] = []


class Conversation(Told):
    """What is read of the answer of `chat.complete`."""

    choices: list[Chosen] = []


class Chunk(Struct):
    """What is read of the items of `chat.stream` and `text.stream`."""

    index: int = 0
    text: str = ""
    reasoning: str = ""
    tool_calls: list[ToolCallPart] = []
    steps: list[Step] = []
    finish: str = ""
    told: Told | None = None


def completion(found: Conversation, request_id: str, *, top: int) -> dict[str, Any]:
    """The body that answers a `chat.completion`."""
    return {
        "id": f"chatcmpl-{request_id}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": found.model,
        "choices": [
            {
                "index": each.index,
                "message": _message(each.message),
                "logprobs": logprobs(each.steps, top),
                "finish_reason": FINISH[each.finish],
            }
            for each in found.choices
        ],
        "usage": usage(found.usage),
    }


def usage(took: Usage) -> dict[str, Any]:
    """What a call took."""
    return {
        "prompt_tokens": took.prompt_tokens,
        "completion_tokens": took.generated_tokens,
        "total_tokens": took.prompt_tokens + took.generated_tokens,
        "prompt_tokens_details": {"cached_tokens": took.cached_tokens},
    }


def logprobs(steps: list[Step], top: int) -> dict[str, Any] | None:
    """The likelihoods of tokens, with the `top` likeliest of each."""
    if not steps:
        return None
    content = [
        {**_likely(step.chosen), "top_logprobs": [_likely(each) for each in step.top[:top]]}
        for step in steps
    ]
    return {"content": content, "refusal": None}


class ChatSpeaker:
    """Chunks of a `chat.completion`; see `speaking.Speaker`."""

    media_type = SSE
    keep_alive = b": wait\n\n"

    def __init__(self, request_id: str, model: str, *, usage: bool, top: int) -> None:
        self._head = {
            "id": f"chatcmpl-{request_id}",
            "object": "chat.completion.chunk",
            "created": int(time.time()),
            "model": model,
        }
        self._usage = usage
        self._top = top
        self._begun: set[int] = set()

    def begin(self) -> Iterable[bytes]:
        """Nothing."""
        return ()

    def item(self, answer: Answer) -> Iterable[bytes]:
        """A chunk of a choice; the first of each says whose it is."""
        chunk = answer.read(Chunk)
        if chunk.told is not None:
            if self._usage:
                yield self._chunk([], usage(chunk.told.usage))
            return
        delta: dict[str, Any] = {}
        if chunk.index not in self._begun:
            self._begun.add(chunk.index)
            delta = {"role": "assistant", "content": ""}
        if chunk.text:
            delta["content"] = chunk.text
        if chunk.reasoning:
            delta["reasoning_content"] = chunk.reasoning
        if chunk.tool_calls:
            delta["tool_calls"] = [_call_part(each) for each in chunk.tool_calls]
        choice = {
            "index": chunk.index,
            "delta": delta,
            "logprobs": logprobs(chunk.steps, self._top),
            "finish_reason": FINISH[chunk.finish],
        }
        yield self._chunk([choice], None)

    def end(self) -> Iterable[bytes]:
        """What OpenAI's streams end with."""
        return (event(b"[DONE]"),)

    def fail(self, error: SensoriumError) -> Iterable[bytes]:
        """An error in place of a chunk, which the clients raise."""
        return (event(encode(error_body(error))),)

    def _chunk(self, choices: list[dict[str, Any]], took: dict[str, Any] | None) -> bytes:
        body = {**self._head, "choices": choices}
        if self._usage:
            body["usage"] = took
        return event(encode(body))


def _message(said: Message) -> dict[str, Any]:
    body: dict[str, Any] = {"role": "assistant", "content": said.content, "refusal": None}
    if said.reasoning:
        body["reasoning_content"] = said.reasoning
    if said.tool_calls:
        body["content"] = said.content or None
        body["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for call in said.tool_calls
        ]
    return body


def _call_part(part: ToolCallPart) -> dict[str, Any]:
    function: dict[str, str] = {"arguments": part.arguments}
    if not part.name:
        return {"index": part.index, "function": function}
    function["name"] = part.name
    return {"index": part.index, "id": part.id, "type": "function", "function": function}


def _likely(each: Likely) -> dict[str, Any]:
    return {"token": each.text, "logprob": each.logprob, "bytes": list(each.text.encode())}
