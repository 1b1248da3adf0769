"""A conversation becomes a prompt.

What templates may expect is what the transformers library gives them:
https://huggingface.co/docs/transformers/chat_templating_writing
"""

from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property
from typing import Any

from jinja2 import Template, TemplateError
from jinja2.exceptions import SecurityError

from sensorium.core.errors import InvalidInputError
from sensorium.models.templates.budget import Budget
from sensorium.models.templates.samples import CONVERSATIONS, NAME, TOOL
from sensorium.models.templates.sandbox import Sandbox

MAX_SOURCE = 1 << 16
"""Characters. The longest in use have half of it; all of these compile in about a second."""
FAULTS = (
    *(TemplateError, ArithmeticError, LookupError, AttributeError, AssertionError),
    *(TypeError, ValueError, RecursionError, MemoryError),
)
"""What a template may make Python raise."""


class ChatTemplate:
    """A model's template. `special` are names of its special tokens, such as `bos_token`.

    It is compiled when it is first wanted: a model whose template is broken still makes texts.
    """

    def __init__(self, source: str, **special: str) -> None:
        self._source = source
        self._special = special
        self._sandbox = Sandbox()

    @cached_property
    def takes_tools(self) -> bool:
        """Whether it tells the model of tools: one may name them, and refuse them or be silent."""
        if "tools" not in self._source:
            return False
        for messages in CONVERSATIONS[:2]:
            with suppress(InvalidInputError):
                if NAME in self.render(messages, [TOOL]):
                    return True
        return False

    def render(
        self, messages: Sequence[dict[str, Any]], tools: Sequence[dict[str, Any]] = (), **more: Any
    ) -> str:
        """The prompt of a conversation, in OpenAI's form, up to where the model's answer begins.

        Raises:
            TemplateLimitError: the template takes too long, or makes too long a text.
            InvalidInputError: it is no template, does not take these messages, or wants what it
                may not have.
        """
        template = self._template
        self._sandbox.begin(Budget())
        try:
            return "".join(
                template.generate(
                    messages=messages,
                    tools=list(tools) or None,
                    add_generation_prompt=True,
                    **self._special,
                    **more,
                )
            )
        except InvalidInputError:
            raise
        except SecurityError:
            raise InvalidInputError(
                "the model's chat template wants what a template may not have"
            ) from None
        except FAULTS as error:
            raise InvalidInputError(
                f"the model's chat template does not take this: {_said(error)}"
            ) from None

    @cached_property
    def _template(self) -> Template:
        if len(self._source) > MAX_SOURCE:
            raise InvalidInputError(f"a chat template has at most {MAX_SOURCE} characters")
        try:
            return self._sandbox.from_string(self._source)
        except (SyntaxError, *FAULTS) as error:
            raise InvalidInputError(f"the model's chat template is none: {_said(error)}") from None


def _said(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0][:300]
