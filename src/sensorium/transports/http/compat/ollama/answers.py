"""Texts as Ollama's clients read them: whole, or in lines."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from sensorium.core.conversation import ToolCall, ToolCallPart, tool_calls
from sensorium.core.dispatch import Answer
from sensorium.core.errors import SensoriumError
from sensorium.core.generation import Step
from sensorium.transports.http.compat.likelihoods import listed
from sensorium.transports.http.compat.ollama.errors import error_body, named
from sensorium.transports.http.compat.spoken import Chunk, Told, Whole, written

NDJSON = b"application/x-ndjson"
SPACE = b" "
"""A sign of life that stands before a line, where every reader of JSON passes it over."""
NS = 1_000_000_000

Wording = Callable[[str, str, list[ToolCall]], dict[str, Any]]
"""How a text, thoughts and calls of tools are said."""


def in_message(text: str, thinking: str, calls: list[ToolCall]) -> dict[str, Any]:
    """As `/api/chat` says it."""
    message: dict[str, Any] = {"role": "assistant", "content": text}
    if thinking:
        message["thinking"] = thinking
    if calls:
        message["tool_calls"] = [_call(number, each) for number, each in enumerate(calls)]
    return {"message": message}


def in_response(text: str, thinking: str, calls: list[ToolCall]) -> dict[str, Any]:
    """As `/api/generate` says it."""
    del calls
    return {"response": text, **({"thinking": thinking} if thinking else {})}


def line(body: dict[str, Any]) -> bytes:
    """A line of a stream."""
    return msgspec.json.encode(body) + b"\n"


def now(later_s: float = 0.0) -> str:
    """The time, or one that is later."""
    return (datetime.now(UTC) + timedelta(seconds=later_s)).isoformat().replace("+00:00", "Z")


def whole(found: Whole, model: str, wording: Wording, *, thinks: bool, top: int) -> dict[str, Any]:
    """The body that answers without a stream."""
    chosen = found.choices[0]
    said = chosen.message
    thinking = said.reasoning if thinks else ""
    return {
        **_head(model),
        **wording(said.content or chosen.text, thinking, said.tool_calls),
        **_logprobs(chosen.steps, top),
        **ended(_reason(chosen.finish), found),
    }


def idle(model: str, wording: Wording, reason: str) -> dict[str, Any]:
    """The body that answers a request without a question: the model was loaded, or unloaded."""
    return {**_head(model), **wording("", "", []), "done": True, "done_reason": reason}


def ended(reason: str, told: Told) -> dict[str, Any]:
    """Why a text ended and what it took; the time to load a model is within the prompt's."""
    first, total = told.timing.first_token_s, told.timing.total_s
    return {
        "done": True,
        "done_reason": reason,
        "total_duration": int(total * NS),
        "load_duration": 0,
        "prompt_eval_count": told.usage.prompt_tokens,
        "prompt_eval_duration": int(first * NS),
        "eval_count": told.usage.generated_tokens,
        "eval_duration": int(max(0.0, total - first) * NS),
    }


class TextSpeaker:
    """Lines of a text; see `speaking.Speaker`. A call of a tool is told once it is whole."""

    media_type = NDJSON
    keep_alive = SPACE

    def __init__(self, model: str, wording: Wording, *, thinks: bool, top: int) -> None:
        self._model = model
        self._wording = wording
        self._thinks = thinks
        self._top = top
        self._calls: list[ToolCallPart] = []
        self._finish = ""
        self._told = Told()

    def begin(self) -> Iterable[bytes]:
        """Nothing."""
        return ()

    def item(self, answer: Answer) -> Iterable[bytes]:
        """What comes next."""
        chunk = answer.read(Chunk)
        self._told = chunk.told or self._told
        self._finish = chunk.finish or self._finish
        self._calls += chunk.tool_calls
        thinking = chunk.reasoning if self._thinks else ""
        if chunk.text or thinking or chunk.steps:
            yield self._line(chunk.text, thinking, [], chunk.steps)

    def end(self) -> Iterable[bytes]:
        """The calls of tools, then why it ended and what it took."""
        if self._calls:
            yield self._line("", "", tool_calls(self._calls), [])
        last = {**_head(self._model), **self._wording("", "", [])}
        yield line({**last, **ended(_reason(self._finish), self._told)})

    def fail(self, error: SensoriumError) -> Iterable[bytes]:
        """A line that the clients raise."""
        return (line(error_body(named(error, self._model))),)

    def _line(self, text: str, thinking: str, calls: list[ToolCall], steps: list[Step]) -> bytes:
        said = self._wording(text, thinking, calls)
        return line({**_head(self._model), **said, **_logprobs(steps, self._top), "done": False})


def _head(model: str) -> dict[str, Any]:
    return {"model": model, "created_at": now()}


def _reason(finish: str) -> str:
    return "length" if finish == "length" else "stop"


def _call(number: int, call: ToolCall) -> dict[str, Any]:
    function = {"index": number, "name": call.name, "arguments": written(call.arguments)}
    return {"id": call.id, "function": function} if call.id else {"function": function}


def _logprobs(steps: list[Step], top: int) -> dict[str, Any]:
    return {"logprobs": listed(steps, top)} if steps else {}
