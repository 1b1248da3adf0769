"""What chat templates have that Jinja has not, or has otherwise."""

import json
from datetime import datetime
from typing import Any

from jinja2 import TemplateError, nodes
from jinja2.ext import Extension
from jinja2.parser import Parser
from markupsafe import escape

MAX_DATE = 256


class GenerationTag(Extension):
    """`{% generation %}`, by which training marks what the model says: its content, as it is."""

    tags = {"generation"}  # noqa: RUF012 - as the library declares it

    def parse(self, parser: Parser) -> list[nodes.Node]:
        """The tag's content."""
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def to_json(
    value: Any,
    indent: int | str | None = None,
    separators: tuple[str, str] | None = None,
    ensure_ascii: bool = False,
    sort_keys: bool = False,
) -> str:
    """JSON as templates expect it: without the escapes that HTML wants."""
    return json.dumps(
        value,
        ensure_ascii=ensure_ascii,
        indent=indent,
        separators=separators,
        sort_keys=sort_keys,
    )


def escaped(value: str) -> str:
    """As HTML has it, and no more than text."""
    return str(escape(value))


def now(form: str) -> str:
    """The time in this form.

    Raises:
        TemplateError: the form is too long.
    """
    if len(form) > MAX_DATE:
        raise TemplateError("a date's form is short")
    return datetime.now().astimezone().strftime(form)
