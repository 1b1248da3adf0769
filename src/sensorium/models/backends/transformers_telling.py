"""A text of transformers, told token by token as the library makes them."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from transformers import StoppingCriteria

from sensorium.core.generation import Finish, Generation, Likely, Piece, Step
from sensorium.models.backends.looking import Looking
from sensorium.models.backends.spelling import Spelling
from sensorium.models.backends.transformers_sampling import Chosen, Sampler


class UnwantedError(Exception):
    """Nobody wants the text any more."""


class Teller(StoppingCriteria):  # type: ignore[misc]
    """Hands out the text after each token, and says when it is at its end."""

    def __init__(
        self,
        decode: Callable[[list[int]], str],
        ends: Sequence[int],
        task: Generation,
        sampler: Sampler,
        looking: Looking,
        prompt_tokens: int,
    ) -> None:
        self._task = task
        self._ends = ends
        self._decode = decode
        self._sampler = sampler
        self._looking = looking
        self._prompt_tokens = prompt_tokens
        self._spelling = Spelling(decode, task.stop)
        self._tokens: list[int] = []
        self._steps: list[Step] = []
        self._made = 0
        self._answers: torch.Tensor | None = None
        self._finish: Finish = "length"

    def __call__(self, input_ids: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:
        """Whether the one text is done, shape (1,)."""
        if self._answers is None:
            self._answers = torch.tensor([[False], [True]], device=input_ids.device)
        return self._answers[int(self._told(self._sampler.read()))]

    def _told(self, chosen: Chosen) -> bool:
        token = chosen.token
        if token in self._ends:
            self._finish = "stop"
            return True
        self._made += 1
        self._tokens.append(token)
        if self._task.logprobs:
            top = [self._likely(*each) for each in chosen.top]
            self._steps.append(Step(chosen=self._likely(token, chosen.logprob), top=top))
        text = self._spelling.add(token)
        if self._spelling.stopped:
            self._finish = "stop"
        if text and not self._emit(text):
            raise UnwantedError
        return self._spelling.stopped

    def end(self) -> None:
        """Hand out the last piece."""
        text = self._spelling.rest()
        if self._spelling.stopped:
            self._finish = "stop"
        self._emit(
            text,
            finish=self._finish,
            stopped_by=self._spelling.stops.by,
            prompt_tokens=self._prompt_tokens,
            generated_tokens=self._made,
        )

    def _emit(self, text: str, **more: Any) -> bool:
        tokens, self._tokens = self._tokens, []
        steps, self._steps = self._steps, []
        return self._looking.emit(Piece(text=text, tokens=tokens, steps=steps, **more))

    def _likely(self, token: int, logprob: float) -> Likely:
        return Likely(token=token, text=self._decode([token]), logprob=max(logprob, -1e9))
