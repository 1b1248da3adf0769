"""A text token by token: its pieces, how likely its tokens were, and why it ends."""

from collections.abc import Callable
from typing import Any, NamedTuple

from sensorium.core.generation import Finish, Generation, Likely, Piece, Step
from sensorium.models.backends.looking import Looking
from sensorium.models.backends.spelling import Spelling

LEAST = -1e9
"""What is told of a token that cannot come: JSON has no infinity."""


class Chosen(NamedTuple):
    """A token that was chosen, and what the model itself said of it, where that is asked for."""

    token: int
    logprob: float
    top: list[tuple[int, float]]
    """The likeliest tokens with their log probabilities, most likely first."""


class Telling:
    """Tells one text.

    Args:
        decode: The text of tokens, without those that only mark its parts.
        ends: Whether a token ends a text.
        task: What is asked for.
        looking: Who wants the pieces.
        prompt_tokens: So many were read.
    """

    def __init__(
        self,
        decode: Callable[[list[int]], str],
        ends: Callable[[int], bool],
        task: Generation,
        looking: Looking,
        prompt_tokens: int,
    ) -> None:
        self._decode = decode
        self._ends = ends
        self._logprobs = task.logprobs
        self._looking = looking
        self._prompt_tokens = prompt_tokens
        self._spelling = Spelling(decode, task.stop)
        self._tokens: list[int] = []
        self._steps: list[Step] = []
        self._made = 0
        self._finish: Finish = "length"

    def tell(self, chosen: Chosen) -> bool:
        """Take the next token; whether the text is at its end.

        Raises:
            UnwantedError: nobody wants the text any more.
        """
        token = chosen.token
        if self._ends(token):
            self._finish = "stop"
            return True
        self._made += 1
        self._tokens.append(token)
        if self._logprobs:
            top = [self._likely(*each) for each in chosen.top]
            self._steps.append(Step(chosen=self._likely(token, chosen.logprob), top=top))
        text = self._spelling.add(token)
        if text:
            self._emit(text)
            self._looking.check()
        return self._spelling.stopped

    def end(self) -> None:
        """Hand out the last piece."""
        text = self._spelling.rest()
        self._emit(
            text,
            finish="stop" if self._spelling.stopped else self._finish,
            stopped_by=self._spelling.stops.by,
            prompt_tokens=self._prompt_tokens,
            generated_tokens=self._made,
        )

    def _emit(self, text: str, **more: Any) -> None:
        tokens, self._tokens = self._tokens, []
        steps, self._steps = self._steps, []
        self._looking.emit(Piece(text=text, tokens=tokens, steps=steps, **more))

    def _likely(self, token: int, logprob: float) -> Likely:
        return Likely(token=token, text=self._decode([token]), logprob=max(logprob, LEAST))
