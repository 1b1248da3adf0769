"""The next token: chosen from a model's logits with a random source of its own."""

from typing import Any

import torch
from transformers import (
    LogitsProcessor,
    LogitsProcessorList,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    StoppingCriteria,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from sensorium.core.errors import InvalidInputError
from sensorium.core.generation import Generation
from sensorium.models.backends.telling import Chosen, Telling


class Sampler(LogitsProcessor):  # type: ignore[misc]
    """Chooses each token as a task says, and leaves `generate` no other.

        `generate` draws from torch's one random source, so that a seed would hold for whoever else
    draws; here each text has its own. Penalties come first, then `top_k`, `top_p`, `min_p` and at
    last the temperature, in the order of llama.cpp. All of it stays on the device until `read`: a
    look at a number waits until the device has computed all that it was given before.
    """

    def __init__(self, task: Generation, prompt_tokens: int, vocabulary: int) -> None:
        self._task = task
        self._prompt_tokens = prompt_tokens
        self._biases = _biases(task, vocabulary)
        self._generator: torch.Generator | None = None
        self._biased: tuple[torch.Tensor, torch.Tensor] | None = None
        self._counts: torch.Tensor | None = None
        self._told: torch.Tensor | None = None
        self._narrowing = LogitsProcessorList()
        if task.top_k:
            self._narrowing.append(TopKLogitsWarper(task.top_k))
        if task.top_p < 1:
            self._narrowing.append(TopPLogitsWarper(task.top_p))
        if task.min_p:
            self._narrowing.append(MinPLogitsWarper(task.min_p))

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """The logits, shape (1, vocabulary), with all but the chosen token at minus infinity."""
        logits = scores.float()
        logprobs = None
        if self._task.logprobs:
            # What the model itself says, before anything else has its say.
            logprobs = torch.log_softmax(logits[0], dim=-1)
        token = self._choose(input_ids, self._penalised(input_ids, logits))
        told = [token.float()]
        if logprobs is not None:
            values, ids = torch.topk(logprobs, min(self._task.logprobs, len(logprobs)))
            told += [logprobs[token], ids.float(), values]
        self._told = torch.cat(told)
        return torch.full_like(logits, -torch.inf).scatter_(1, token[None], 0.0)

    def read(self) -> Chosen:
        """What was chosen last: the one thing that is fetched from the device for a token."""
        assert self._told is not None
        token, *rest = self._told.tolist()
        count = len(rest) // 2
        top = [
            (int(each), value)
            for each, value in zip(rest[1 : count + 1], rest[count + 1 :], strict=True)
        ]
        return Chosen(int(token), rest[0] if rest else 0.0, top)

    def _penalised(self, input_ids: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        task = self._task
        if task.repeat_penalty not in (0.0, 1.0):
            logits = RepetitionPenaltyLogitsProcessor(task.repeat_penalty)(input_ids, logits)
        if task.presence_penalty or task.frequency_penalty:
            counts = self._counted(input_ids, logits)
            logits = logits - task.frequency_penalty * counts
            logits = logits - task.presence_penalty * (counts > 0)
        if self._biases:
            if self._biased is None:
                tokens = torch.tensor([*self._biases], device=logits.device)
                values = torch.tensor([*self._biases.values()], device=logits.device)
                self._biased = tokens, values
            tokens, values = self._biased
            logits = logits.index_add(1, tokens, values[None])
        return logits

    def _counted(self, input_ids: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        """How often each token was made, shape (vocabulary,); counting anew would wait for it."""
        if self._counts is None:
            self._counts = torch.zeros_like(logits[0])
        if input_ids.shape[1] > self._prompt_tokens:
            last = input_ids[0, -1:]
            self._counts.scatter_add_(0, last, torch.ones_like(last, dtype=self._counts.dtype))
        return self._counts

    def _choose(self, input_ids: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        """The token, shape (1,), still on the device."""
        if self._task.temperature == 0:
            return logits[0].argmax(dim=-1, keepdim=True)
        if self._generator is None:
            self._generator = torch.Generator(logits.device)
            if self._task.seed is None:
                self._generator.seed()
            else:
                self._generator.manual_seed(self._task.seed)
        narrowed = self._narrowing(input_ids, logits) / self._task.temperature
        odds = torch.softmax(narrowed[0], dim=-1)
        # As `multinomial` does it, which looks first whether these are odds.
        waits = torch.empty_like(odds).exponential_(1, generator=self._generator)
        return (odds / waits).argmax(dim=-1, keepdim=True)


class Teller(StoppingCriteria):  # type: ignore[misc]
    """Has each token told, and says when the text is at its end."""

    def __init__(self, telling: Telling, sampler: Sampler) -> None:
        self._telling = telling
        self._sampler = sampler
        self._answers: torch.Tensor | None = None

    def __call__(self, input_ids: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:
        """Whether the one text is done, shape (1,)."""
        if self._answers is None:
            self._answers = torch.tensor([[False], [True]], device=input_ids.device)
        return self._answers[int(self._telling.tell(self._sampler.read()))]


def _biases(task: Generation, vocabulary: int) -> dict[int, float]:
    """`logit_bias` by token.

    Raises:
        InvalidInputError: the model has no such token.
    """
    found = {}
    for text, bias in task.logit_bias.items():
        if not (text.isascii() and text.isdigit() and int(text) < vocabulary):
            raise InvalidInputError(f"logit_bias: the model has no token {text[:20]!r}")
        found[int(text)] = bias
    return found
