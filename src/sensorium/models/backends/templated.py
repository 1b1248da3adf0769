"""A task's conversation as the text that a model goes on with."""

from contextlib import suppress
from functools import partial

from msgspec.structs import replace

from sensorium.core.conversation import Message
from sensorium.core.errors import InvalidInputError
from sensorium.core.generation import Generation
from sensorium.models.backends.joined import other_forms
from sensorium.models.backends.openai_form import openai_messages, openai_tools
from sensorium.models.templates.budget import TemplateLimitError
from sensorium.models.templates.rendering import ChatTemplate
from sensorium.models.tools import speaks_of_tools, told

NOTHING = Message(role="assistant")


def begun(task: Generation) -> Generation:
    """The task without a beginning of the answer that is empty, which is none.

    llama.cpp would take the turn of the model from it.
    """
    messages = task.messages
    while len(messages) > 1 and messages[-1] == NOTHING:
        messages = messages[:-1]
    return task if messages is task.messages else replace(task, messages=messages)


def templated(template: ChatTemplate | None, task: Generation, *, pictures: bool = False) -> str:
    """The text that a template makes of the messages and tools; with `pictures`, of their marks.

    Where the model itself spoke last, it goes on with what it said.

    Raises:
        InvalidInputError: there is no template, or it does not take this.
    """
    return taken(template, task, pictures=pictures)[0]


def taken(
    template: ChatTemplate | None, task: Generation, *, pictures: bool = False
) -> tuple[str, Generation]:
    """The same, and the task as the template took it: some refuse all but turns of two speakers."""
    if template is None:
        raise InvalidInputError("this model has no chat template; give it a prompt (text.complete)")
    if not pictures and any(message.images for message in task.messages):
        raise InvalidInputError("this model takes no images")
    task = begun(task)
    last = task.messages[-1]
    goes_on = last.role == "assistant" and not last.tool_calls
    if speaks_of_tools(task) and not template.takes_tools:
        task = told(task)
    render = partial(_rendered, template, pictures=pictures, goes_on=goes_on)
    try:
        return render(task), task
    except TemplateLimitError:
        raise
    except InvalidInputError:
        for messages in other_forms(task.messages):
            other = replace(task, messages=messages)
            with suppress(InvalidInputError):
                return render(other), other
        raise


def _rendered(template: ChatTemplate, task: Generation, *, pictures: bool, goes_on: bool) -> str:
    messages = openai_messages(task.messages, parsed=True, marked=pictures)
    tools = openai_tools(task.tools)
    if not goes_on:
        return template.render(messages, tools)
    return template.render(messages[:-1], tools) + task.messages[-1].content
