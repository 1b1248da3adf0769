"""OpenAI's protocol, which most servers of language models speak."""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from sensorium.core.conversation import Message
from sensorium.core.errors import NotSupportedError
from sensorium.core.generation import Generation, Likely, Step
from sensorium.models.backends.remote_answers import read
from sensorium.models.backends.remote_settings import RemoteSettings
from sensorium.models.backends.remote_text import Part

DATA = "data:"
END = "[DONE]"
UNTOLD = 0
"""Stands for a token's number, which the protocol does not tell."""


class _Likely(Struct):
    token: str
    logprob: float
    top_logprobs: list["_Likely"] = []


class _Logprobs(Struct):
    content: list[_Likely] | None = None


class _Delta(Struct):
    content: str | None = None


class _Choice(Struct):
    delta: _Delta | None = None
    text: str | None = None
    logprobs: _Logprobs | None = None
    finish_reason: str | None = None


class _Usage(Struct):
    prompt_tokens: int = 0
    completion_tokens: int = 0


class _Chunk(Struct):
    choices: list[_Choice] = []
    usage: _Usage | None = None
    error: Any = None


class _Embedding(Struct):
    embedding: list[float]
    index: int = 0


class _Embeddings(Struct):
    data: list[_Embedding]


class OpenAI:
    """See `remote_text.Dialect`."""

    media_type = "text/event-stream"

    def __init__(self, settings: RemoteSettings) -> None:
        self._settings = settings

    def request(self, task: Generation) -> tuple[str, Mapping[str, Any]]:
        """See `Dialect.request`."""
        settings = self._settings
        as_it_is = not task.messages and settings.completions
        if as_it_is and task.logprobs:
            raise NotSupportedError("a remote model tells likelihoods in conversations alone")
        body: dict[str, Any] = {
            "model": settings.model,
            "stream": True,
            "stream_options": {"include_usage": True},
            "temperature": task.temperature,
            "top_p": task.top_p,
            settings.max_tokens_field: task.max_tokens,
            **_where_set(task),
            **self._extended(task),
        }
        if as_it_is:
            return "/completions", {**body, "prompt": task.prompt}
        messages = task.messages or [Message(role="user", content=task.prompt)]
        return "/chat/completions", {**body, "messages": messages}

    def part(self, line: str) -> Part:
        """See `Dialect.part`."""
        if not line.startswith(DATA):
            return Part()
        text = line.removeprefix(DATA).strip()
        if text == END:
            return Part(done=True)
        chunk = read(text, _Chunk)
        usage = chunk.usage or _Usage()
        part = Part(prompt_tokens=usage.prompt_tokens, generated_tokens=usage.completion_tokens)
        if chunk.error:
            said = chunk.error.get("message") if isinstance(chunk.error, dict) else chunk.error
            part.error = str(said)
        for choice in chunk.choices[:1]:
            part.text = (choice.delta.content if choice.delta else choice.text) or ""
            part.reason = choice.finish_reason or ""
            part.steps = _steps(choice.logprobs)
        return part

    def embedding(self, texts: Sequence[str]) -> tuple[str, Mapping[str, Any]]:
        """See `Dialect.embedding`."""
        body = {"model": self._settings.model, "input": list(texts), "encoding_format": "float"}
        return "/embeddings", body

    def vectors(self, body: bytes) -> list[list[float]]:
        """See `Dialect.vectors`."""
        found = read(body, _Embeddings).data
        return [each.embedding for each in sorted(found, key=lambda each: each.index)]

    def _extended(self, task: Generation) -> dict[str, Any]:
        """What is not OpenAI's own, but other servers' of its protocol."""
        if not self._settings.extended:
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


def _steps(found: _Logprobs | None) -> list[Step]:
    content = (found.content if found else None) or []
    return [
        Step(chosen=_told(each), top=[_told(top) for top in each.top_logprobs]) for each in content
    ]


def _told(each: _Likely) -> Likely:
    return Likely(token=UNTOLD, text=each.token, logprob=each.logprob)
