"""What is said in a conversation with a language model, and the tools that it may call."""

from typing import Annotated, Any

from msgspec import Meta, Struct
from msgspec.structs import replace

from sensorium.core.types import Count

MAX_TEXT = 10_000_000
"""Characters that a prompt or a message may have."""

ToolName = Annotated[str, Meta(min_length=1, max_length=256, description="The tool's name.")]


class ToolCall(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A tool that the model wants called."""

    id: Annotated[str, Meta(max_length=256, description="What its result is told by.")] = ""
    name: ToolName
    arguments: Annotated[
        str, Meta(max_length=MAX_TEXT, description="Its arguments, a JSON object as text.")
    ] = "{}"


class ImagePart(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A picture within a message: its file's bytes, or where to fetch it."""

    data: Annotated[bytes, Meta(description="A PNG, JPEG, GIF or WebP file.")] = b""
    url: Annotated[
        str, Meta(max_length=8192, description="Where it lies, of http or https; without `data`.")
    ] = ""
    at: Annotated[Count, Meta(description="Before which character of the content it is.")] = 0


class Message(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What somebody said in a conversation."""

    role: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=64,
            description="Who said it: `system`, `user`, `assistant`; `tool` for a tool's result.",
        ),
    ]
    content: Annotated[str, Meta(max_length=MAX_TEXT, description="What was said.")] = ""
    images: Annotated[
        list[ImagePart], Meta(max_length=64, description="The images in it, in their order.")
    ] = []
    reasoning: Annotated[
        str, Meta(max_length=MAX_TEXT, description="What a model thought before it said that.")
    ] = ""
    tool_calls: Annotated[
        list[ToolCall], Meta(max_length=128, description="The tools that the model called.")
    ] = []
    tool_call_id: Annotated[
        str, Meta(max_length=256, description="Which call of a tool this is the result of.")
    ] = ""
    name: Annotated[str, Meta(max_length=256, description="The speaker's or the tool's name.")] = ""


class Tool(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A tool that a model may ask to be called."""

    name: ToolName
    description: Annotated[
        str, Meta(max_length=100_000, description="What it does, for the model to read.")
    ] = ""
    parameters: Annotated[
        dict[str, Any], Meta(description="A JSON schema of its arguments, an object.")
    ] = {}


class ToolCallPart(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The next part of a tool's call, as the model writes it."""

    index: Annotated[Count, Meta(description="Which of the answer's calls, from 0.")] = 0
    id: Annotated[str, Meta(description="Its id, with its first part.")] = ""
    name: Annotated[str, Meta(description="The tool's name, with its first part.")] = ""
    arguments: Annotated[str, Meta(description="What comes next of its arguments.")] = ""


def preceded(said: Message, before: str) -> Message:
    """A message with a text before what it says; its images stay where they stand in that."""
    images = [replace(each, at=each.at + len(before)) for each in said.images]
    return replace(said, content=before + said.content, images=images)


def tool_calls(parts: list[ToolCallPart]) -> list[ToolCall]:
    """The whole calls that parts make up, in their order."""
    found: dict[int, dict[str, str]] = {}
    for part in parts:
        call = found.setdefault(part.index, {"id": "", "name": "", "arguments": ""})
        call["id"] += part.id
        call["name"] += part.name
        call["arguments"] += part.arguments
    for call in found.values():
        call["arguments"] = call["arguments"] or "{}"  # none, as JSON has it
    return [ToolCall(**found[index]) for index in sorted(found)]
