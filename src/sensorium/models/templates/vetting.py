"""Whether a model's chat template may be left to an engine that runs it without bounds."""

from typing import Any

from sensorium.core.errors import InvalidInputError
from sensorium.models.templates.budget import TemplateLimitError
from sensorium.models.templates.rendering import ChatTemplate

ASKED: dict[str, Any] = {"role": "user", "content": "What is the weather?"}
TOLD: dict[str, Any] = {"role": "system", "content": "Be brief."}
ANSWERED: dict[str, Any] = {"role": "assistant", "content": "It is fine."}
CALLED: dict[str, Any] = {
    "role": "assistant",
    "content": "",
    "tool_calls": [
        {
            "id": "call00001",
            "type": "function",
            "function": {"name": "weather", "arguments": {"place": "Rome"}},
        }
    ],
}
FOUND: dict[str, Any] = {
    "role": "tool",
    "content": "fine",
    "name": "weather",
    "tool_call_id": "call00001",
}
TOOL: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "weather",
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


GIVEN: dict[str, Any] = {"enable_thinking": True, "date_string": "1 January 2026"}
"""What engines also give to a template: one could behave by it."""


def is_harmless(source: str) -> bool:
    """Whether it stays within bounds in conversations of all kinds, and takes one of them at least.

    One that refuses some of them may well be in order: many take no tools, or no system text.
    """
    template = ChatTemplate(source, bos_token="<s>", eos_token="</s>")
    taken = False
    for messages in CONVERSATIONS:
        for tools in ([], [TOOL]):
            try:
                template.render(messages, tools, **GIVEN)
                taken = True
            except TemplateLimitError:
                return False
            except InvalidInputError:
                continue
    return taken
