"""A JSON schema as a grammar of llguidance, which llama.cpp's library holds a text to."""

from typing import Any

import llguidance
import msgspec

from sensorium.core.errors import InvalidInputError

SPACED = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
"""White space as models have read it most, and no more than that: some would never end it."""


def grammar_of(schema: dict[str, Any]) -> str:
    """A schema's grammar, checked: llama.cpp would leave one that is wrong aside, and say nothing.

    Raises:
        InvalidInputError: it is no schema, or has what cannot be held to.
    """
    spaced = msgspec.json.encode({"x-guidance": SPACED} | schema).decode()
    grammar = f"%llguidance {{}}\nstart: %json {spaced}"
    problem = llguidance.LLMatcher.validate_grammar(grammar, None)
    if problem:
        reason = problem.partition("failed to compile JSON schema: ")[2] or problem
        raise InvalidInputError(f"json_schema: {reason.splitlines()[0]}")
    return grammar
