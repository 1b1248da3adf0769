"""Functions that a model may call, as OpenAI's and Ollama's clients tell of them."""

from typing import Any

from msgspec import Struct


class FunctionTool(Struct, omit_defaults=True, kw_only=True):
    """A function that may be called."""

    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


def tool(given: FunctionTool) -> dict[str, Any]:
    """The fields of `core.conversation.Tool`."""
    return {
        "name": given.name,
        "description": given.description or "",
        "parameters": given.parameters or {},
    }
