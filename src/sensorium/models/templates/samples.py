"""Conversations that a template is tried with."""

from typing import Any

ASKED: dict[str, Any] = {"role": "user", "content": "What is the weather?"}
TOLD: dict[str, Any] = {"role": "system", "content": "Be brief."}
ANSWERED: dict[str, Any] = {"role": "assistant", "content": "It is fine."}
NAME = "look_outside"
"""A tool's, which nothing else here has in it."""
CALLED: dict[str, Any] = {
    "role": "assistant",
    "content": "",
    "tool_calls": [
        {
            "id": "call00001",
            "type": "function",
            "function": {"name": NAME, "arguments": {"place": "Rome"}},
        }
    ],
}
FOUND: dict[str, Any] = {
    "role": "tool",
    "content": "fine",
    "name": NAME,
    "tool_call_id": "call00001",
}
TOOL: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": NAME,
        "description": "The weather of a place.",
        "parameters": {"type": "object", "properties": {"place": {"type": "string"}}},
    },
}
CONVERSATIONS = (
    [ASKED],
    [TOLD, ASKED],
    [ASKED, ANSWERED, ASKED],
    [ASKED, CALLED, FOUND],
    [ASKED, CALLED, FOUND, ANSWERED, ASKED],
)
GIVEN: tuple[dict[str, Any], ...] = (
    {"enable_thinking": True},
    {
        "enable_thinking": True,
        "date_string": "1 January 2026",
        "datetime": "Jan 01 2026 00:00:00 GMT",
        "functions": "[]",
        "tools_in_user_message": False,
    },
)
"""What llama.cpp also gives to a template, always or to some: one could behave by it."""
