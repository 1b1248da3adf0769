"""The next token, by llama.cpp's own samplers, in the order in which its server has them."""

from typing import Any

import llama_cpp
import numpy as np

from sensorium.core.errors import InvalidInputError
from sensorium.core.generation import Generation
from sensorium.models.backends.telling import Chosen

LAST = 64
"""How many of the last tokens the penalties look at."""


class Sampler:
    """Chooses the tokens of one text; a context, which gives back what it holds.

    `guide`, if there is one, is told each token, and says which may come next.
    """

    def __init__(self, llama: Any, task: Generation, prompt: list[int], guide: Any) -> None:
        self._llama = llama
        self._task = task
        self._prompt = prompt
        self._guide = guide
        self._size = llama.n_vocab()
        self._chain: Any = None

    def __enter__(self) -> "Sampler":
        defaults = llama_cpp.llama_sampler_chain_default_params()
        self._chain = llama_cpp.llama_sampler_chain_init(defaults)
        try:
            self._fill()
        except BaseException:
            llama_cpp.llama_sampler_free(self._chain)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        llama_cpp.llama_sampler_free(self._chain)

    def choose(self) -> Chosen:
        """The next token, from what the model said last."""
        pointer = llama_cpp.llama_get_logits_ith(self._llama.ctx, -1)
        logits = np.ctypeslib.as_array(pointer, shape=(self._size,))
        logprobs = _logprobs(logits) if self._task.logprobs else None
        if self._guide is not None:
            self._guide.narrow(logits)
        token = int(llama_cpp.llama_sampler_sample(self._chain, self._llama.ctx, -1))
        if self._guide is not None:
            self._guide.take(token)
        if logprobs is None:
            return Chosen(token, 0.0, [])
        return Chosen(token, float(logprobs[token]), _best(logprobs, self._task.logprobs))

    def _fill(self) -> None:
        """Add the samplers.

        Raises:
            InvalidInputError: a bias is of no token, or the grammar is none.
        """
        task = self._task
        self._add_biases()
        penalties = llama_cpp.llama_sampler_init_penalties(
            self._size,
            LAST,
            task.repeat_penalty or 1.0,
            task.frequency_penalty,
            task.presence_penalty,
        )
        for token in self._prompt[-LAST:]:
            llama_cpp.llama_sampler_accept(penalties, token)
        self._add(penalties)
        if task.grammar:
            self._add_grammar(task.grammar)
        if task.temperature == 0:
            self._add(llama_cpp.llama_sampler_init_greedy())
            return
        self._add(llama_cpp.llama_sampler_init_top_k(task.top_k))
        self._add(llama_cpp.llama_sampler_init_top_p(task.top_p, 1))
        self._add(llama_cpp.llama_sampler_init_min_p(task.min_p, 1))
        self._add(llama_cpp.llama_sampler_init_temp(task.temperature))
        seed = llama_cpp.LLAMA_DEFAULT_SEED if task.seed is None else task.seed
        self._add(llama_cpp.llama_sampler_init_dist(seed))

    def _add(self, sampler: Any) -> None:
        llama_cpp.llama_sampler_chain_add(self._chain, sampler)

    def _add_biases(self) -> None:
        biases = self._task.logit_bias
        if not biases:
            return
        for text in biases:
            if not (text.isascii() and text.isdigit() and int(text) < self._size):
                raise InvalidInputError(f"logit_bias: the model has no token {text[:20]!r}")
        array = (llama_cpp.llama_logit_bias * len(biases))(
            *((int(token), bias) for token, bias in biases.items())
        )
        self._add(llama_cpp.llama_sampler_init_logit_bias(self._size, len(biases), array))

    def _add_grammar(self, grammar: str) -> None:
        vocabulary = llama_cpp.llama_model_get_vocab(self._llama.model)
        sampler = llama_cpp.llama_sampler_init_grammar(vocabulary, grammar.encode(), b"root")
        if not sampler:
            raise InvalidInputError("llama.cpp cannot parse this grammar, which is to be GBNF")
        self._add(sampler)


def _logprobs(logits: Any) -> Any:
    spread = logits.astype(np.float64) - logits.max()
    return spread - np.log(np.exp(spread).sum())


def _best(logprobs: Any, count: int) -> list[tuple[int, float]]:
    """The likeliest tokens, most likely first."""
    count = min(count, len(logprobs))
    best = np.argpartition(-logprobs, count - 1)[:count].tolist()
    return sorted(
        ((each, float(logprobs[each])) for each in best), key=lambda each: (-each[1], each[0])
    )
