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
    taken = False
    for messages in CONVERSATIONS:
        for tools in ([], [TOOL]):
            try:
                try_all(template, messages, tools)
                taken = True
            except TemplateLimitError:
                return False
            except InvalidInputError:
                continue
    return taken


def try_all(
    template: ChatTemplate, messages: Sequence[dict[str, Any]], tools: Sequence[dict[str, Any]] = ()
) -> None:
    """Render a conversation with all that an engine may give to the template besides.

    Raises:
        InvalidInputError: see `ChatTemplate.render`; with any of it.
    """
    for given in GIVEN:
        template.render(messages, tools, **given)
