"""Texts of llama-cpp-python that are held to a JSON schema, by llguidance."""

from typing import Any

import llama_cpp
from llguidance import LLMatcher
from llguidance.llamacpp import lltokenizer_from_vocab
from llguidance.numpy import (
    allocate_token_bitmask,
    apply_token_bitmask_inplace,
    fill_next_token_bitmask,
)

from sensorium.core.errors import SensoriumError
from sensorium.models.backends.gguf_schema import grammar_of


class Guide:
    """Says which tokens may come next in one text."""

    def __init__(self, matcher: Any, size: int) -> None:
        self._matcher = matcher
        self._mask = allocate_token_bitmask(1, size)

    def narrow(self, logits: Any) -> None:
        """Take away, in place, what may not come."""
        fill_next_token_bitmask(self._matcher, self._mask)
        self._check()
        apply_token_bitmask_inplace(logits, self._mask)

    def take(self, token: int) -> None:
        """That token has come."""
        self._matcher.consume_token(token)
        self._check()

    def _check(self) -> None:
        if self._matcher.is_error():
            raise SensoriumError("the text cannot be held to its schema any longer")


class Guided:
    """Guides for the texts of one model: its tokens are told to llguidance once."""

    def __init__(self, model: Any) -> None:
        vocabulary = llama_cpp.llama_model_get_vocab(model)
        self._size = llama_cpp.llama_vocab_n_tokens(vocabulary)
        self._tokenizer = lltokenizer_from_vocab(vocabulary)

    def to(self, schema: dict[str, Any]) -> Guide:
        """What holds a text to a schema.

        Raises:
            InvalidInputError: it is no schema, or has what cannot be held to.
        """
        return Guide(LLMatcher(self._tokenizer, grammar_of(schema)), self._size)
