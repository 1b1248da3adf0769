"""Templates that take turns of two speakers and nothing else."""

import pytest

from sensorium.core.conversation import ImagePart, Message, Tool, ToolCall
from sensorium.core.errors import InvalidInputError
from sensorium.core.generation import Generation
from sensorium.models.backends.joined import other_forms
from sensorium.models.backends.templated import templated
from sensorium.models.templates.rendering import ChatTemplate

STRICT = """\
{%- if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}
{%- for m in messages %}
{%- if (m.role == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('by turns') }}{% endif %}
{{- '<' ~ m.role ~ '>' ~ m.content ~ '<end>' }}
{%- endfor %}
{%- if add_generation_prompt %}<assistant>{% endif %}"""
"""Much as Gemma and Mistral have it."""


def user(text: str) -> Message:
    return Message(role="user", content=text)


def system(text: str) -> Message:
    return Message(role="system", content=text)


def assistant(text: str) -> Message:
    return Message(role="assistant", content=text)


def called(*names: str) -> Message:
    return Message(role="assistant", tool_calls=[ToolCall(id=each, name=each) for each in names])


def gave(name: str, text: str) -> Message:
    return Message(role="tool", tool_call_id=name, content=text)


@pytest.mark.parametrize(
    ("said", "text"),
    [
        ([user("a")], "<user>a<end><assistant>"),
        ([system("s"), user("a")], "<user>s\n\na<end><assistant>"),
        ([system("s")], "<user>s<end><assistant>"),
        ([user("a"), user("b")], "<user>a\n\nb<end><assistant>"),
        (
            [user("a"), assistant("b"), system("s"), user("c")],
            "<user>a<end><assistant>b<end><user>s\n\nc<end><assistant>",
        ),
        ([user("a"), assistant("b"), assistant("c")], "<user>a<end><assistant>b<end><assistant>c"),
        (
            [user("a"), called("x", "y"), gave("x", "1"), gave("y", "2")],
            '<user>a<end><assistant>{"name": "x", "arguments": {}}\n{"name": "y", "arguments": {}}'
            "<end><user>The result of x: 1\n\nThe result of y: 2<end><assistant>",
        ),
    ],
)
def test_a_conversation_of_any_kind_is_taken(said: list[Message], text: str) -> None:
    assert templated(ChatTemplate(STRICT), Generation(messages=said)) == text


def test_tools_are_told_of_in_the_first_question() -> None:
    task = Generation(messages=[system("s"), user("a")], tools=[Tool(name="look")])
    text = templated(ChatTemplate(STRICT), task)
    assert text == "<user>You can call these tools: look().\n\ns\n\na<end><assistant>"


def test_a_template_that_takes_it_has_it_as_it_is() -> None:
    template = ChatTemplate("{% for m in messages %}{{ m.role }}:{{ m.content }} {% endfor %}")
    said = [system("s"), user("a"), user("b")]
    assert templated(template, Generation(messages=said)) == "system:s user:a user:b "


def test_what_is_refused_in_any_form_is_told_of_as_it_was() -> None:
    said = [system("s"), assistant("a"), user("b"), assistant("c"), assistant("d")]
    template = ChatTemplate("{{ raise_exception(messages | map(attribute='role') | join) }}")
    with pytest.raises(InvalidInputError, match=r"systemassistantuserassistant$"):
        templated(template, Generation(messages=said))


def test_calls_have_ids_that_are_short_enough() -> None:
    """Much as Mistral's templates want it."""
    template = ChatTemplate(
        "{% for m in messages %}{% for id in (m.tool_calls or []) | map(attribute='id') %}"
        "{% if id | length != 9 %}{{ raise_exception('9 characters') }}{% endif %}{{ id }};"
        "{% endfor %}{{ m.tool_call_id }}{% endfor %}{% if tools %}{{ tools }}{% endif %}"
    )
    call = ToolCall(id="call_0123456789", name="look")
    said = [
        user("a"),
        Message(role="assistant", tool_calls=[call]),
        gave("call_0123456789", "1"),
    ]
    task = Generation(messages=said, tools=[Tool(name="look")])
    first, second = templated(template, task).partition("[")[0].split(";")
    assert first == second
    assert len(first) == 9


def test_pictures_keep_their_places() -> None:
    first = Message(role="user", content="ab", images=[ImagePart(url="https://a", at=1)])
    second = Message(role="user", content="cd", images=[ImagePart(url="https://b", at=9)])
    third = Message(role="user", content="ef" * 9, images=[ImagePart(url="https://c", at=1)])
    (joined,) = next(other_forms([first, second, third]))
    text = "ab\n\ncd\n\n" + third.content
    assert (joined.content, [each.at for each in joined.images]) == (text, [1, 6, 9])
