"""Texts that are longer than a model takes, told by both numbers."""

from sensorium.core.errors import InvalidInputError


def too_long(tokens: int, context: int, *, whole: bool = False) -> InvalidInputError:
    """The error of a prompt of so many tokens, or of a text that is to be read as a `whole`.

    Its `details` have both numbers: doors tell it by them from other errors. Programs that shorten
    a conversation and try again know that they have to by "prompt is too long".
    """
    message = (
        f"a text has {tokens} tokens, and the model takes {context}: shorten it"
        if whole
        else f"the prompt is too long: it has {tokens} tokens, and the model's context {context}: "
        "shorten it, or load the model with a larger context"
    )
    return InvalidInputError(message, details={"prompt_tokens": tokens, "context": context})
