"""The next token: chosen from a model's logits with a random source of its own."""

import torch
from transformers import (
    LogitsProcessor,
    LogitsProcessorList,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from sensorium.core.errors import InvalidInputError
from sensorium.core.generation import Generation


class Sampler(LogitsProcessor):  # type: ignore[misc]
    """Chooses each token as a task says, and leaves `generate` no other.

    `generate` draws from torch's one random source, so that a seed would hold for whoever else
    draws; here each text has its own. Penalties come first, then `top_k`, `top_p`, `min_p` and at
    last the temperature, in the order of llama.cpp.
    """

    def __init__(self, task: Generation, prompt_tokens: int, vocabulary: int) -> None:
        self.logprobs: torch.Tensor | None = None
        """What the model itself says of the last token, before anything else has its say."""
        self._task = task
        self._prompt_tokens = prompt_tokens
        self._vocabulary = vocabulary
        self._biases = _biases(task, vocabulary)
        self._generator: torch.Generator | None = None
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
        if self._task.logprobs:
            self.logprobs = torch.log_softmax(logits[0], dim=-1)
        token = self._choose(input_ids, self._penalised(input_ids, logits))
        chosen = torch.full_like(logits, -torch.inf)
        chosen[0, token] = 0.0
        return chosen

    def _penalised(self, input_ids: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        task = self._task
        if task.repeat_penalty not in (0.0, 1.0):
            logits = RepetitionPenaltyLogitsProcessor(task.repeat_penalty)(input_ids, logits)
        if task.presence_penalty or task.frequency_penalty:
            made = input_ids[0, self._prompt_tokens :]
            counts = torch.bincount(made, minlength=logits.shape[1])[: logits.shape[1]]
            logits = logits - task.frequency_penalty * counts
            logits = logits - task.presence_penalty * (counts > 0)
        for token, bias in self._biases.items():
            logits[0, token] += bias
        return logits

    def _choose(self, input_ids: torch.Tensor, logits: torch.Tensor) -> int:
        if self._task.temperature == 0:
            return int(logits[0].argmax())
        if self._generator is None:
            self._generator = torch.Generator(logits.device)
            if self._task.seed is None:
                self._generator.seed()
            else:
                self._generator.manual_seed(self._task.seed)
        narrowed = self._narrowing(input_ids, logits) / self._task.temperature
        odds = torch.softmax(narrowed[0], dim=-1)
        return int(torch.multinomial(odds, 1, generator=self._generator))


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
