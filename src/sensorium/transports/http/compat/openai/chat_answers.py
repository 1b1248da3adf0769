"""Answers in conversations, as OpenAI's clients read them."""

import time
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any

import msgspec

from sensorium.core.conversation import Message, ToolCallPart
from sensorium.core.dispatch import Answer
from sensorium.core.errors import SensoriumError
from sensorium.transports.http.compat.likelihoods import of_chat
from sensorium.transports.http.compat.openai.errors import error_body
from sensorium.transports.http.compat.spoken import Chunk, Told, Usage, Whole
from sensorium.transports.http.speaking import SSE, event

encode = msgspec.json.encode


def completion(found: Whole, request_id: str, *, top: int) -> dict[str, Any]:
    """The body that answers a `chat.completion`."""
    choices = [
        {
            "index": each.index,
            "message": _message(each.message),
            "logprobs": of_chat(each.steps, top),
            "finish_reason": each.finish or None,
        }
        for each in found.choices
    ]
    return whole("chat.completion", f"chatcmpl-{request_id}", found, choices)


def whole(kind: str, id_: str, found: Whole, choices: list[dict[str, Any]]) -> dict[str, Any]:
    """The body of a completion of either kind."""
    head = {"id": id_, "object": kind, "created": int(time.time()), **of_model(found)}
    return {**head, "choices": choices, "usage": usage(found.usage)}


def of_model(told: Told) -> dict[str, Any]:
    """Which model it was, and what tells that it is still the same."""
    fingerprint = f"fp_{told.digest[:16]}" if told.digest else None
    return {"model": told.model, "system_fingerprint": fingerprint}


def usage(took: Usage) -> dict[str, Any]:
    """What a call took."""
    return {
        "prompt_tokens": took.prompt_tokens,
        "completion_tokens": took.generated_tokens,
        "total_tokens": took.prompt_tokens + took.generated_tokens,
        "prompt_tokens_details": {"cached_tokens": took.cached_tokens},
    }


class Speaker(ABC):
    """What the streams of all completions have in common; see `speaking.Speaker`."""

    media_type = SSE
    keep_alive = b": wait\n\n"

    def __init__(self, id_: str, kind: str, model: str, *, usage: bool, top: int) -> None:
        self._head = {"id": id_, "object": kind, "created": int(time.time())}
        self._told = Told(model=model)
        self._usage = usage
        self._top = top
        self._said: dict[int, int] = {}
        """How many characters of each text; of one that has not begun, nothing."""

    def begin(self) -> Iterable[bytes]:
        """Nothing."""
        return ()

    def item(self, answer: Answer) -> Iterable[bytes]:
        """A chunk of a choice; or what all took, if that is wanted, and of which model."""
        chunk = answer.read(Chunk)
        if chunk.told is None:
            yield self._chunk([self._choice(chunk, self._said.get(chunk.index))], None)
            self._said[chunk.index] = self._said.get(chunk.index, 0) + len(chunk.text)
        elif self._usage:
            self._told = chunk.told
            yield self._chunk([], usage(chunk.told.usage))

    def end(self) -> Iterable[bytes]:
        """What OpenAI's streams end with."""
        return (event(b"[DONE]"),)

    def fail(self, error: SensoriumError) -> Iterable[bytes]:
        """An error in place of a chunk, which the clients raise."""
        return (event(encode(error_body(error))),)

    @abstractmethod
    def _choice(self, chunk: Chunk, said: int | None) -> dict[str, Any]:
        """What a chunk adds to a choice of which so many characters are told; None: it begins."""

    def _chunk(self, choices: list[dict[str, Any]], took: dict[str, Any] | None) -> bytes:
        body = {**self._head, **of_model(self._told), "choices": choices}
        if self._usage:
            body["usage"] = took
        return event(encode(body))


class ChatSpeaker(Speaker):
    """Chunks of a `chat.completion`."""

    def __init__(self, request_id: str, model: str, *, usage: bool, top: int) -> None:
        kind = "chat.completion.chunk"
        super().__init__(f"chatcmpl-{request_id}", kind, model, usage=usage, top=top)

    def _choice(self, chunk: Chunk, said: int | None) -> dict[str, Any]:
        """The first chunk of each choice says whose it is."""
        delta: dict[str, Any] = {"role": "assistant", "content": ""} if said is None else {}
        if chunk.text:
            delta["content"] = chunk.text
        if chunk.reasoning:
            delta["reasoning_content"] = chunk.reasoning
        if chunk.tool_calls:
            delta["tool_calls"] = [_call_part(each) for each in chunk.tool_calls]
        return {
            "index": chunk.index,
            "delta": delta,
            "logprobs": of_chat(chunk.steps, self._top),
            "finish_reason": chunk.finish or None,
        }


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
