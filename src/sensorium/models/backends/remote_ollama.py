"""Ollama's own protocol."""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from sensorium.core.errors import NotSupportedError
from sensorium.core.generation import Generation
from sensorium.models.backends.base import LoadOptions
from sensorium.models.backends.remote_answers import read
from sensorium.models.backends.remote_settings import RemoteSettings
from sensorium.models.backends.remote_text import Part


class _Message(Struct):
    content: str = ""


class _Line(Struct):
    message: _Message | None = None
    response: str = ""
    done: bool = False
    done_reason: str = ""
    prompt_eval_count: int = 0
    eval_count: int = 0
    error: str = ""


class _Embeddings(Struct):
    embeddings: list[list[float]]


class Ollama:
    """See `remote_text.Dialect`."""

    media_type = "application/x-ndjson"

    def __init__(self, settings: RemoteSettings, options: LoadOptions) -> None:
        self._model = settings.model
        self._context = options.context

    def request(self, task: Generation) -> tuple[str, Mapping[str, Any]]:
        """See `Dialect.request`."""
        for name in ("logprobs", "logit_bias", "grammar"):
            if getattr(task, name):
                raise NotSupportedError(f"Ollama's protocol has no {name}")
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
        body: dict[str, Any] = {"model": self._model, "stream": True, "options": options}
        if task.json_schema:
            body["format"] = task.json_schema
        if task.messages:
            return "/api/chat", {**body, "messages": task.messages}
        return "/api/generate", {**body, "prompt": task.prompt, "raw": True}

    def part(self, line: str) -> Part:
        """See `Dialect.part`."""
        if not line.strip():
            return Part()
        found = read(line, _Line)
        return Part(
            text=found.message.content if found.message else found.response,
            reason=(found.done_reason or "stop") if found.done else "",
            error=found.error,
            prompt_tokens=found.prompt_eval_count,
            generated_tokens=found.eval_count,
            done=found.done,
        )

    def embedding(self, texts: Sequence[str]) -> tuple[str, Mapping[str, Any]]:
        """See `Dialect.embedding`."""
        return "/api/embed", {"model": self._model, "input": list(texts), "truncate": False}

    def vectors(self, body: bytes) -> list[list[float]]:
        """See `Dialect.vectors`."""
        return read(body, _Embeddings).embeddings
