"""A tokenizer of transformers, which takes one caller at a time."""

import threading
from collections.abc import Sequence
from typing import Any

from tokenizers import Encoding

from sensorium.core.errors import InvalidInputError
from sensorium.models.backends.fast_tokens import Slow, encoded, whole


class Tokens:
    """A text's tokens, and the text of tokens."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self.turn = threading.Lock()
        self._fast = getattr(tokenizer, "backend_tokenizer", None)

    def encoded(self, text: str, *, special: bool) -> Encoding | Slow:
        """A text's tokens; `special`: with those that begin and end it.

        Raises:
            InvalidInputError: the tokenizer has no number for a part of it.
        """
        with self.turn:
            if self._fast is not None:
                return encoded(whole(self._fast), text, special=special)  # a batch has it fill up
            return Slow(list(self.tokenizer(text, add_special_tokens=special).input_ids))

    def detokenized(self, tokens: Sequence[int]) -> str:
        """The text of tokens that a caller names.

        Raises:
            InvalidInputError: one of the numbers is no token's.
        """
        size = len(self.tokenizer)
        if not all(0 <= token < size for token in tokens):
            raise InvalidInputError(f"tokens are numbers from 0 to {size - 1}")
        return self.decoded(tokens)

    def decoded(self, tokens: Sequence[int], **how: Any) -> str:
        """The text of tokens of a model, which may have more than the tokenizer knows."""
        with self.turn:
            return str(self.tokenizer.decode(list(tokens), **how))
