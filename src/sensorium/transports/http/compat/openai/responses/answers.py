"""The body of a response, and the items of its output."""

import secrets
import time
from typing import Any

import msgspec

from sensorium.core.conversation import Message
from sensorium.transports.http.compat.openai.responses.requests import CreateResponse
from sensorium.transports.http.compat.spoken import Usage

Output = dict[str, Any]
TEXT: Output = {"format": {"type": "text"}}


def new_id(kind: str) -> str:
    """An id that nobody guesses: `resp_…`, `msg_…`, `fc_…`, `rs_…`."""
    return f"{kind}_{secrets.token_hex(16)}"


def begun(asked: CreateResponse) -> Output:
    """The body of a response that has only just begun."""
    plain = msgspec.to_builtins
    return {
        "id": new_id("resp"),
        "object": "response",
        "created_at": int(time.time()),
        "status": "in_progress",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": asked.instructions,
        "max_output_tokens": asked.max_output_tokens,
        "max_tool_calls": None,
        "metadata": asked.metadata or {},
        "model": asked.model,
        "output": [],
        "parallel_tool_calls": asked.parallel_tool_calls is not False,
        "previous_response_id": asked.previous_response_id,
        "reasoning": {"effort": None, "summary": None},
        "service_tier": "default",
        "store": asked.store is not False,
        "temperature": asked.temperature,
        "text": plain(asked.text) if asked.text and asked.text.format else TEXT,
        "tool_choice": plain(asked.tool_choice) or "auto",
        "tools": [{"strict": None, "parameters": None, **each} for each in plain(asked.functions)],
        "top_logprobs": asked.top_logprobs or 0,
        "top_p": asked.top_p,
        "truncation": "disabled",
        "usage": None,
        "user": None,
    }


def ended(body: Output, output: list[Output], model: str, took: Usage, finish: str) -> Output:
    """The body of the response, once it is over."""
    cut = finish == "length"
    return {
        **body,
        "status": "incomplete" if cut else "completed",
        "completed_at": None if cut else int(time.time()),
        "incomplete_details": {"reason": "max_output_tokens"} if cut else None,
        "model": model or body["model"],
        "output": output,
        "usage": {
            "input_tokens": took.prompt_tokens,
            "input_tokens_details": {"cached_tokens": took.cached_tokens, "cache_write_tokens": 0},
            "output_tokens": took.generated_tokens,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": took.prompt_tokens + took.generated_tokens,
        },
    }


def output_of(said: Message, likely: list[Output] | None, finish: str) -> list[Output]:
    """The items that a whole answer is."""
    status = "incomplete" if finish == "length" else "completed"
    items: list[Output] = []
    if said.reasoning:
        items.append(reasoning(new_id("rs"), said.reasoning, "completed"))
    if said.content or not said.tool_calls:
        items.append(message(new_id("msg"), [part(said.content, likely)], status))
    items += [
        function_call(new_id("fc"), each.id, each.name, each.arguments, "completed")
        for each in said.tool_calls
    ]
    return items


def message(id_: str, content: list[Output], status: str) -> Output:
    """What is said."""
    said = {"id": id_, "type": "message", "role": "assistant"}
    return {**said, "status": status, "content": content}


def part(text: str, likely: list[Output] | None) -> Output:
    """The text of what is said."""
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": likely or []}


def function_call(id_: str, call_id: str, name: str, arguments: str, status: str) -> Output:
    """A tool that is to be called."""
    called = {"id": id_, "type": "function_call", "call_id": call_id, "name": name}
    return {**called, "arguments": arguments, "status": status}


def reasoning(id_: str, text: str, status: str) -> Output:
    """What is thought."""
    content = [{"type": "reasoning_text", "text": text}] if text else []
    return {"id": id_, "type": "reasoning", "summary": [], "content": content, "status": status}
