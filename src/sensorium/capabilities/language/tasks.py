"""What a request asks of a model, as the runtime's own task."""

from typing import Any

from msgspec.structs import fields

from sensorium.capabilities.language.schema import ContinuationRequest, ConversationRequest
from sensorium.core.errors import InvalidInputError
from sensorium.core.generation import Generation, Sampling

SAMPLING = tuple(each.name for each in fields(Sampling))
CHOICES = ("auto", "none", "required")


def chat_task(request: ConversationRequest) -> Generation:
    """The task of a conversation.

    Raises:
        InvalidInputError: it wants a tool that is not there.
    """
    names = {tool.name for tool in request.tools}
    choice = request.tool_choice
    if choice not in CHOICES and choice not in names:
        raise _choice_error(f"there is no tool {choice!r} among the tools")
    if choice == "required" and not names:
        raise _choice_error("a tool is required, and there is none")
    return Generation(
        messages=request.messages,
        tools=[] if choice == "none" else request.tools,
        tool_choice="auto" if choice == "none" else choice,
        parallel_tools=request.parallel_tools,
        **_sampling(request),
    )


def text_task(request: ContinuationRequest) -> Generation:
    """The task of a text."""
    return Generation(prompt=request.prompt, **_sampling(request))


def _choice_error(message: str) -> InvalidInputError:
    return InvalidInputError(message, details={"at": "tool_choice"})


def _sampling(request: Sampling) -> dict[str, Any]:
    return {name: getattr(request, name) for name in SAMPLING}
