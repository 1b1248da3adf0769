"""Whether a model's chat template may be left to an engine that runs it without bounds.

Only a rendering itself tells whether it ends: so a template is tried when a model is loaded, and
again with each conversation. One that tells the engine from this, by what neither can hide, still
runs there as long as it likes; that is for whoever waits for the engine to bound.
"""

from collections.abc import Sequence
from typing import Any

from sensorium.core.errors import InvalidInputError
from sensorium.models.templates.budget import TemplateLimitError
from sensorium.models.templates.rendering import ChatTemplate
from sensorium.models.templates.samples import CONVERSATIONS, GIVEN, TOOL


def is_harmless(source: str) -> bool:
    """Whether it stays within bounds in conversations of all kinds, and takes one of them at least.

    One that refuses some of them may well be in order: many take no tools, or no system text.
    """
    template = ChatTemplate(source, bos_token="<s>", eos_token="</s>")
    cases = [(messages, tools) for messages in CONVERSATIONS for tools in ([], [TOOL])]
    try:
        taken = [takes(template, *each, ({}, *GIVEN)) for each in cases]
    except TemplateLimitError:
        return False
    return any(taken)


def takes(
    template: ChatTemplate,
    messages: Sequence[dict[str, Any]],
    tools: Sequence[dict[str, Any]] = (),
    given: Sequence[dict[str, Any]] = GIVEN,
) -> bool:
    """Whether a template takes a conversation, with any of what an engine gives to it besides.

    Raises:
        TemplateLimitError: with some of it, it takes too long, or makes too long a text.
    """
    taken = False
    for more in given:
        try:
            template.render(messages, tools, **more)
            taken = True
        except TemplateLimitError:
            raise
        except InvalidInputError:
            continue
    return taken
