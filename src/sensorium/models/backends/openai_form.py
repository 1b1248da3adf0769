"""A conversation in the form that OpenAI's protocol and models' own templates read."""

from base64 import b64encode
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from sensorium.core.conversation import ImagePart, Message, Tool
from sensorium.core.errors import InvalidInputError
from sensorium.core.pictures import media_type

CHOICES = ("auto", "none", "required")


def openai_messages(
    messages: Sequence[Message],
    *,
    reasoning: bool = True,
    parsed: bool = False,
    marked: bool = False,
) -> list[dict[str, Any]]:
    """Messages in OpenAI's form.

    With `reasoning`, thoughts stand in `reasoning_content`, which OpenAI itself has not. With
    `parsed`, the arguments of calls are objects, as templates of the Transformers library want
    them, and not text. With `marked`, every content is a list of parts, and an image's part only
    says that there is one, as those templates want that.

    Raises:
        InvalidInputError: an image is of no known kind; or, with `parsed`, arguments are no object.
    """
    spell = _marks if marked else _content
    return [_message(each, spell, reasoning, parsed) for each in messages]


def openai_tools(tools: Sequence[Tool]) -> list[dict[str, Any]]:
    """Tools in OpenAI's form."""
    return [
        {
            "type": "function",
            "function": {
                "name": each.name,
                "description": each.description,
                "parameters": each.parameters or {"type": "object", "properties": {}},
            },
        }
        for each in tools
    ]


def openai_tool_choice(choice: str) -> str | dict[str, Any]:
    """`auto`, `none`, `required` or a tool's name, in OpenAI's form."""
    if choice in CHOICES:
        return choice
    return {"type": "function", "function": {"name": choice}}


def image_url(image: ImagePart) -> str:
    """Where an image lies; of one that is given as bytes, a `data:` address that holds them.

    Raises:
        InvalidInputError: the bytes are no image of a kind that is known.
    """
    if image.url:
        return image.url
    return f"data:{media_type(image.data)};base64,{b64encode(image.data).decode()}"


def arguments_of(text: str) -> dict[str, Any]:
    """The arguments of a tool's call, as an object.

    Raises:
        InvalidInputError: they are none.
    """
    try:
        return msgspec.json.decode(text or "{}", type=dict[str, Any])
    except msgspec.MsgspecError:
        raise InvalidInputError("the arguments of a tool's call are a JSON object") from None


def in_order(said: Message) -> list[ImagePart]:
    """A message's images in the order in which its content has them."""
    return sorted(said.images, key=lambda each: each.at)


def images_of(messages: Sequence[Message]) -> list[ImagePart]:
    """The images of a conversation, in their order."""
    return [image for said in messages for image in in_order(said)]


def _message(
    said: Message, spell: Callable[[Message], Any], reasoning: bool, parsed: bool
) -> dict[str, Any]:
    found: dict[str, Any] = {"role": said.role, "content": spell(said)}
    if said.name:
        found["name"] = said.name
    if said.tool_call_id:
        found["tool_call_id"] = said.tool_call_id
    if said.reasoning and reasoning:
        found["reasoning_content"] = said.reasoning
    if said.tool_calls:
        found["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {
                    "name": call.name,
                    "arguments": arguments_of(call.arguments) if parsed else call.arguments,
                },
            }
            for call in said.tool_calls
        ]
    return found


def _content(said: Message) -> str | list[dict[str, Any]]:
    """The text; where there are images, parts of both in their order."""
    return _parts(said, _link) if said.images else said.content


def _marks(said: Message) -> list[dict[str, Any]]:
    return _parts(said, lambda _: {"type": "image"})


def _parts(said: Message, spell: Callable[[ImagePart], dict[str, Any]]) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = []
    told = 0
    for image in in_order(said):
        if text := said.content[told : image.at]:
            parts.append({"type": "text", "text": text})
        told = max(told, image.at)
        parts.append(spell(image))
    if text := said.content[told:]:
        parts.append({"type": "text", "text": text})
    return parts


def _link(image: ImagePart) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": image_url(image)}}
