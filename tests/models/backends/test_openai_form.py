"""Conversations in OpenAI's form."""

import pytest

from sensorium.core.conversation import ImagePart, Message, Tool, ToolCall
from sensorium.core.errors import InvalidInputError
from sensorium.models.backends.openai_form import (
    openai_messages,
    openai_tool_choice,
    openai_tools,
)

PNG = b"\x89PNG\r\n\x1a\n" + bytes(4)
CALL = ToolCall(id="c1", name="weather", arguments='{"city": "Rome"}')


def test_texts_stay_texts():
    said = [Message(role="system", content="Be kind."), Message(role="user", content="Hi")]
    assert openai_messages(said) == [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "Hi"},
    ]


def test_calls_and_their_results():
    said = [
        Message(role="assistant", reasoning="hm", tool_calls=[CALL]),
        Message(role="tool", content="sunny", tool_call_id="c1", name="weather"),
    ]
    call = {"name": "weather", "arguments": '{"city": "Rome"}'}
    first, second = openai_messages(said)
    assert first == {
        "role": "assistant",
        "content": "",
        "reasoning_content": "hm",
        "tool_calls": [{"id": "c1", "type": "function", "function": call}],
    }
    assert second == {
        "role": "tool",
        "content": "sunny",
        "tool_call_id": "c1",
        "name": "weather",
    }
    (first, _) = openai_messages(said, reasoning=False, parsed=True)
    assert "reasoning_content" not in first
    assert first["tool_calls"][0]["function"]["arguments"] == {"city": "Rome"}


@pytest.mark.parametrize("arguments", ["{", "[1]", "nothing"])
def test_arguments_that_are_no_object(arguments):
    call = ToolCall(name="weather", arguments=arguments)
    with pytest.raises(InvalidInputError, match="JSON object"):
        openai_messages([Message(role="assistant", tool_calls=[call])], parsed=True)


def test_images_stand_where_they_were():
    images = [ImagePart(url="https://host/b.jpg", at=9), ImagePart(data=PNG, at=3)]
    (found,) = openai_messages([Message(role="user", content="a: b: ", images=images)])
    data = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgoAAAAA"}}
    assert found["content"] == [
        {"type": "text", "text": "a: "},
        data,
        {"type": "text", "text": "b: "},
        {"type": "image_url", "image_url": {"url": "https://host/b.jpg"}},
    ]
    (alone,) = openai_messages([Message(role="user", images=[ImagePart(data=PNG)])])
    assert alone["content"] == [data]


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"\xff\xd8\xff\xe0", "jpeg"),
        (b"GIF89a", "gif"),
        (b"RIFF1234WEBP", "webp"),
        (PNG, "png"),
    ],
)
def test_kinds_of_images(data, kind):
    (found,) = openai_messages([Message(role="user", images=[ImagePart(data=data)])])
    assert found["content"][0]["image_url"]["url"].startswith(f"data:image/{kind};base64,")


def test_what_is_no_image():
    for image in (ImagePart(data=b"<svg/>"), ImagePart()):
        with pytest.raises(InvalidInputError, match="PNG"):
            openai_messages([Message(role="user", images=[image])])


def test_tools_and_choices():
    schema = {"type": "object", "properties": {"city": {}}}
    (with_schema, without) = openai_tools(
        [Tool(name="weather", description="Of now.", parameters=schema), Tool(name="now")]
    )
    assert with_schema == {
        "type": "function",
        "function": {"name": "weather", "description": "Of now.", "parameters": schema},
    }
    assert without["function"]["parameters"] == {"type": "object", "properties": {}}
    assert openai_tool_choice("required") == "required"
    named = {"type": "function", "function": {"name": "weather"}}
    assert openai_tool_choice("weather") == named
