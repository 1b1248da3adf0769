"""A JSON schema as a grammar of llguidance, which llama.cpp's library holds a text to."""

from typing import Any

import llguidance
import msgspec

from sensorium.core.errors import InvalidInputError

COMPACT = "x-guidance"
"""What tells the grammar's engine not to take as much white space as the model likes to make."""


def grammar_of(schema: dict[str, Any]) -> str:
    """A schema's grammar, checked: llama.cpp would leave one that is wrong aside, and say nothing.

    Raises:
        InvalidInputError: it is no schema, or has what cannot be held to.
    """
    compact = {COMPACT: {"whitespace_flexible": False}} | schema
    grammar = f"%llguidance {{}}\nstart: %json {msgspec.json.encode(compact).decode()}"
    problem = llguidance.LLMatcher.validate_grammar(grammar, None)
    if problem:
        reason = problem.partition("failed to compile JSON schema: ")[2] or problem
        raise InvalidInputError(f"json_schema: {reason.splitlines()[0]}")
    return grammar
