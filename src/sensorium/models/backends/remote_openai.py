"""OpenAI's protocol, which most servers of language models speak."""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from sensorium.core.conversation import Message, ToolCallPart
from sensorium.core.errors import NotSupportedError
from sensorium.core.generation import Generation, Likely, Step
from sensorium.models.backends.openai_form import (
    openai_messages,
    openai_tool_choice,
    openai_tools,
)
from sensorium.models.backends.remote_answers import read
from sensorium.models.backends.remote_dialect import Part
from sensorium.models.backends.remote_settings import Upstream

DATA = b"data:"
END = b"[DONE]"
UNTOLD = 0
"""Stands for a token's number, which the protocol does not tell."""


class _Likely(Struct):
    token: str
    logprob: float
    top_logprobs: list["_Likely"] = []


class _Logprobs(Struct):
    content: list[_Likely] | None = None


class _Function(Struct):
    name: str | None = None
    arguments: str | None = None


class _Call(Struct):
    index: int | None = None
    id: str | None = None
    function: _Function | None = None


class _Delta(Struct):
    content: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: Any = None
    tool_calls: list[_Call] | None = None


class _Choice(Struct):
    delta: _Delta | None = None
    text: str | None = None
    logprobs: _Logprobs | None = None
    finish_reason: str | None = None
    stop_reason: Any = None


class _Details(Struct):
    cached_tokens: int | None = None


class _Usage(Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _Details | None = None


class _Chunk(Struct):
    choices: list[_Choice] = []
    usage: _Usage | None = None
    error: Any = None


class _Embedding(Struct):
    embedding: list[float]
    index: int = 0


class _Embeddings(Struct):
    data: list[_Embedding]
    usage: _Usage | None = None


class OpenAI:
    """See `remote_dialect.Dialect`."""

    media_type = "text/event-stream"

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream

    def request(self, task: Generation) -> tuple[str, Mapping[str, Any]]:
        """See `Dialect.request`."""
        upstream = self._upstream
        as_it_is = not task.messages and upstream.completions
        if as_it_is and task.logprobs:
            raise NotSupportedError("a remote model tells likelihoods in conversations alone")
        body: dict[str, Any] = {
            "model": upstream.model,
            "stream": True,
            "stream_options": {"include_usage": True},
            "temperature": task.temperature,
            "top_p": task.top_p,
            upstream.max_tokens_field: task.max_tokens,
            **_where_set(task),
            **self._extended(task),
        }
        if as_it_is:
            return "/completions", {**body, "prompt": task.prompt}
        messages = task.messages or [Message(role="user", content=task.prompt)]
        body["messages"] = openai_messages(messages, reasoning=upstream.extended)
        if task.tools:
            body["tools"] = openai_tools(task.tools)
            body["tool_choice"] = openai_tool_choice(task.tool_choice)
            if not task.parallel_tools:
                body["parallel_tool_calls"] = False
        return "/chat/completions", body

    def part(self, line: bytes) -> Part | None:
        """See `Dialect.part`."""
        if not line.startswith(DATA):
            return None
        data = line[len(DATA) :].strip()
        if data == END:
            return Part(done=True)
        chunk = read(data, _Chunk)
        part = _used(chunk.usage)
        if chunk.error:
            said = chunk.error.get("message") if isinstance(chunk.error, dict) else chunk.error
            part.error = str(said)
        for choice in chunk.choices[:1]:
            _add(part, choice)
        return part

    def embedding(self, texts: Sequence[str]) -> tuple[str, Mapping[str, Any]]:
        """See `Dialect.embedding`."""
        body = {"model": self._upstream.model, "input": list(texts), "encoding_format": "float"}
        return "/embeddings", body

    def vectors(self, body: bytes) -> tuple[list[list[float]], int]:
        """See `Dialect.vectors`."""
        found = read(body, _Embeddings)
        data = sorted(found.data, key=lambda each: each.index)
        return [each.embedding for each in data], _used(found.usage).prompt_tokens

    def _extended(self, task: Generation) -> dict[str, Any]:
        """What is not OpenAI's own, but other servers' of its protocol."""
        if not self._upstream.extended:
            if task.grammar:
                raise NotSupportedError("this remote model is held to no grammar")
            return {}
        found: dict[str, Any] = {
            "top_k": task.top_k,
            "min_p": task.min_p,
            "repeat_penalty": task.repeat_penalty,
            "repetition_penalty": task.repeat_penalty,
        }
        return {**found, "grammar": task.grammar} if task.grammar else found


def _where_set(task: Generation) -> dict[str, Any]:
    """What is only sent where it is asked for: some servers refuse what they do not know."""
    found: dict[str, Any] = {
        "presence_penalty": task.presence_penalty,
        "frequency_penalty": task.frequency_penalty,
        "stop": task.stop,
        "logit_bias": task.logit_bias,
    }
    found = {name: value for name, value in found.items() if value}
    if task.seed is not None:
        found["seed"] = task.seed
    if task.logprobs:
        found |= {"logprobs": True, "top_logprobs": task.logprobs}
    if task.json_schema:
        schema = {"name": "answer", "schema": task.json_schema, "strict": True}
        found["response_format"] = {"type": "json_schema", "json_schema": schema}
    return found


def _used(usage: _Usage | None) -> Part:
    if usage is None:
        return Part()
    details = usage.prompt_tokens_details or _Details()
    return Part(
        prompt_tokens=usage.prompt_tokens or 0,
        cached_tokens=details.cached_tokens or 0,
        generated_tokens=usage.completion_tokens or 0,
    )


def _add(part: Part, choice: _Choice) -> None:
    """What a choice says, in a part."""
    delta = choice.delta
    if delta is None:
        part.text = choice.text or ""
    else:
        part.text = delta.content or delta.refusal or ""
        thought = delta.reasoning_content or delta.reasoning
        part.reasoning = thought if isinstance(thought, str) else ""
        if delta.tool_calls:
            part.calls = [_call(each, at) for at, each in enumerate(delta.tool_calls)]
    part.reason = choice.finish_reason or ""
    if isinstance(choice.stop_reason, str) and part.reason == "stop":
        part.stopped_by = choice.stop_reason
    if choice.logprobs is not None:
        part.steps = _steps(choice.logprobs)


def _call(each: _Call, at: int) -> ToolCallPart:
    function = each.function or _Function()
    return ToolCallPart(
        index=at if each.index is None else max(0, each.index),
        id=each.id or "",
        name=function.name or "",
        arguments=function.arguments or "",
    )


def _steps(found: _Logprobs) -> list[Step]:
    return [
        Step(chosen=_told(each), top=[_told(top) for top in each.top_logprobs])
        for each in found.content or []
    ]


def _told(each: _Likely) -> Likely:
    return Likely(token=UNTOLD, text=each.token, logprob=each.logprob)
