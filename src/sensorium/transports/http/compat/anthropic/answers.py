"""Our operations' answers, as messages that Anthropic's clients read."""

from typing import Any

from sensorium.transports.http.compat.spoken import Chosen, Usage, Whole, written

STOP = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use"}


def message(found: Whole, model: str, request_id: str, *, thinks: bool) -> dict[str, Any]:
    """The body that answers `/v1/messages`."""
    chosen = found.choices[0]
    return {
        **head(model, request_id),
        "content": _content(chosen, thinks=thinks),
        **stopped(chosen.finish, chosen.stopped_by),
        "usage": usage(found.usage),
    }


def head(model: str, request_id: str) -> dict[str, Any]:
    """What is known of a message before it is made."""
    return {"id": f"msg_{request_id}", "type": "message", "role": "assistant", "model": model}


def stopped(finish: str, stopped_by: str) -> dict[str, Any]:
    """Why a message ended."""
    reason = "stop_sequence" if stopped_by else STOP.get(finish, "end_turn")
    return {"stop_reason": reason, "stop_sequence": stopped_by or None}


def usage(took: Usage) -> dict[str, int]:
    """What a call took; `input_tokens` are those that were not known from an earlier prompt."""
    return {
        "input_tokens": max(0, took.prompt_tokens - took.cached_tokens),
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": took.cached_tokens,
        "output_tokens": took.generated_tokens,
    }


def _content(chosen: Chosen, *, thinks: bool) -> list[dict[str, Any]]:
    said = chosen.message
    content: list[dict[str, Any]] = []
    if thinks and said.reasoning:
        content.append({"type": "thinking", "thinking": said.reasoning, "signature": ""})
    if said.content:
        content.append({"type": "text", "text": said.content})
    content += [
        {"type": "tool_use", "id": each.id, "name": each.name, "input": written(each.arguments)}
        for each in said.tool_calls
    ]
    return content
