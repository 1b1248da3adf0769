"""A task's conversation as the text that a model goes on with."""

from sensorium.core.errors import InvalidInputError
from sensorium.core.generation import Generation
from sensorium.models.backends.openai_form import openai_messages, openai_tools
from sensorium.models.templates.rendering import ChatTemplate
from sensorium.models.tools import told


def templated(template: ChatTemplate | None, task: Generation) -> str:
    """The text that a template makes of the messages and tools.

    Raises:
        InvalidInputError: there is no template, or it does not take this.
    """
    if template is None:
        raise InvalidInputError("this model has no chat template; give it a prompt (text.complete)")
    if any(message.images for message in task.messages):
        raise InvalidInputError("this model takes no images")
    if task.tools and not template.takes_tools:
        task = told(task)
    messages = openai_messages(task.messages, parsed=True)
    return template.render(messages, openai_tools(task.tools))
