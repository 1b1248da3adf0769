"""Ollama's own protocol."""

import secrets
from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from sensorium.core.conversation import ImagePart, Message, ToolCallPart
from sensorium.core.errors import NotSupportedError
from sensorium.core.generation import Generation
from sensorium.models.backends.base import LoadOptions
from sensorium.models.backends.openai_form import arguments_of, openai_tools
from sensorium.models.backends.remote_answers import read
from sensorium.models.backends.remote_dialect import Part
from sensorium.models.backends.remote_settings import Upstream


class _Function(Struct):
    name: str
    arguments: dict[str, Any] | None = None


class _Call(Struct):
    function: _Function
    id: str = ""


class _Message(Struct):
    content: str = ""
    thinking: str = ""
    tool_calls: list[_Call] | None = None


class _Line(Struct):
    message: _Message | None = None
    response: str = ""
    thinking: str = ""
    done: bool = False
    done_reason: str = ""
    prompt_eval_count: int = 0
    eval_count: int = 0
    error: str = ""


class _Embeddings(Struct):
    embeddings: list[list[float]]
    prompt_eval_count: int = 0


class Ollama:
    """See `remote_dialect.Dialect`."""

    media_type = "application/x-ndjson"

    def __init__(self, upstream: Upstream, options: LoadOptions) -> None:
        self._model = upstream.model
        self._context = options.context

    def request(self, task: Generation) -> tuple[str, Mapping[str, Any]]:
        """See `Dialect.request`."""
        for name in ("logprobs", "logit_bias", "grammar"):
            if getattr(task, name):
                raise NotSupportedError(f"Ollama's protocol has no {name}")
        body: dict[str, Any] = {
            "model": self._model,
            "stream": True,
            "options": self._options(task),
        }
        if task.json_schema:
            body["format"] = task.json_schema
        if not task.messages:
            return "/api/generate", {**body, "prompt": task.prompt, "raw": True}
        if task.tools and task.tool_choice != "none":
            if task.tool_choice != "auto":
                raise NotSupportedError("Ollama's protocol cannot say that a tool must be called")
            body["tools"] = openai_tools(task.tools)
        return "/api/chat", {**body, "messages": [_message(each) for each in task.messages]}

    def part(self, line: bytes) -> Part | None:
        """See `Dialect.part`."""
        if not line.strip():
            return None
        found = read(line, _Line)
        said = found.message or _Message(found.response, found.thinking)
        return Part(
            text=said.content,
            reasoning=said.thinking,
            calls=[_call(each, at) for at, each in enumerate(said.tool_calls or [])],
            reason=(found.done_reason or "stop") if found.done else "",
            error=found.error,
            prompt_tokens=found.prompt_eval_count,
            generated_tokens=found.eval_count,
            done=found.done,
        )

    def embedding(self, texts: Sequence[str]) -> tuple[str, Mapping[str, Any]]:
        """See `Dialect.embedding`."""
        return "/api/embed", {"model": self._model, "input": list(texts), "truncate": False}

    def vectors(self, body: bytes) -> tuple[list[list[float]], int]:
        """See `Dialect.vectors`."""
        found = read(body, _Embeddings)
        return found.embeddings, found.prompt_eval_count

    def _options(self, task: Generation) -> dict[str, Any]:
        options = {
            "temperature": task.temperature,
            "top_p": task.top_p,
            "top_k": task.top_k,
            "min_p": task.min_p,
            "repeat_penalty": task.repeat_penalty,
            "presence_penalty": task.presence_penalty,
            "frequency_penalty": task.frequency_penalty,
            "num_predict": task.max_tokens,
        }
        optional = {"stop": task.stop, "num_ctx": self._context}
        options |= {name: value for name, value in optional.items() if value}  # type: ignore[misc]
        if task.seed is not None:
            options["seed"] = task.seed
        return options


def _message(said: Message) -> dict[str, Any]:
    found: dict[str, Any] = {"role": said.role, "content": said.content}
    if said.images:
        found["images"] = [_image(each) for each in said.images]
    if said.reasoning:
        found["thinking"] = said.reasoning
    if said.name and said.role == "tool":
        found["tool_name"] = said.name
    if said.tool_call_id:
        found["tool_call_id"] = said.tool_call_id
    if said.tool_calls:
        found["tool_calls"] = [
            {
                "id": call.id,
                "function": {"name": call.name, "arguments": arguments_of(call.arguments)},
            }
            for call in said.tool_calls
        ]
    return found


def _image(image: ImagePart) -> str:
    if not image.url:
        return b64encode(image.data).decode()
    head, _, data = image.url.partition(",")
    if not (head.startswith("data:") and head.endswith(";base64")):
        raise NotSupportedError("Ollama's protocol takes images as they are, and no addresses")
    return data


def _call(each: _Call, at: int) -> ToolCallPart:
    """A whole call; each has an id, as those of the next line may be counted from 0 again."""
    return ToolCallPart(
        index=at,
        id=each.id or f"call_{secrets.token_hex(12)}",
        name=each.function.name,
        arguments=msgspec.json.encode(each.function.arguments or {}).decode(),
    )
