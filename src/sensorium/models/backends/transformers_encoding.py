"""Encoders of transformers: texts to vectors, and texts to labels."""

import gc
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from sensorium.core.errors import InvalidInputError, NotSupportedError
from sensorium.core.generation import Generation, Piece
from sensorium.core.tensors import TensorSpec
from sensorium.models.backends.base import Arrays, ModelSpec
from sensorium.models.backends.too_long import too_long
from sensorium.models.backends.transformers_files import Pooling
from sensorium.models.backends.transformers_tokens import Tokens
from sensorium.models.backends.turns import Turns
from sensorium.models.fitting import check_arrays, check_outputs

AT_ONCE = 32
"""So many texts go through an encoder together."""


class Encoder:
    """A model and its tokenizer, one batch of texts at a time."""

    def __init__(self, model: Any, tokenizer: Any, max_tokens: int) -> None:
        self._turns = Turns(model)
        self._tokens = Tokens(tokenizer)
        self._max_tokens = max_tokens
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token

    def run(self, texts: Sequence[str], pick: Callable[[Any, Any], torch.Tensor]) -> Any:
        """What `pick` makes of the model's output and the mask of the tokens, row by row.

        Raises:
            InvalidInputError: a text has more tokens than the model takes.
        """
        found = []
        for start in range(0, len(texts), AT_ONCE):
            with self._turns.take() as model, torch.inference_mode():
                inputs = self._tokenized(texts[start : start + AT_ONCE]).to(model.device)
                found.append(pick(model(**inputs), inputs["attention_mask"]).float().cpu())
        return torch.cat(found).numpy()

    def tokenize(self, text: str, *, special: bool = False) -> list[int]:
        """See `TextModel.tokenize`."""
        return self._tokens.encoded(text, special=special).ids

    def size(self, task: Generation) -> int:
        """See `TextModel.size`."""
        if task.messages:
            raise NotSupportedError("this model has no conversations")
        return len(self._tokens.encoded(task.prompt, special=True))

    def detokenize(self, tokens: Sequence[int]) -> str:
        """See `TextModel.detokenize`."""
        return self._tokens.detokenized(tokens)

    def close(self) -> None:
        """Give back what it holds."""
        self._turns.close()
        gc.collect()

    def _tokenized(self, texts: Sequence[str]) -> Any:
        with self._tokens.turn:  # the library's own sets it to fill up, for a moment
            inputs = self._tokens.tokenizer(list(texts), padding=True, return_tensors="pt")
        longest = int(inputs["attention_mask"].sum(1).max())
        if longest > self._max_tokens:
            raise too_long(longest, self._max_tokens, whole=True)
        return inputs


class EmbeddingModel:
    """See `base.TextModel`; it makes no text."""

    parallel = 1

    def __init__(self, encoder: Encoder, spec: ModelSpec, pooling: Pooling) -> None:
        self.spec = spec
        self._encoder = encoder
        self._pooling: Pooling = pooling
        self.tokenize = encoder.tokenize
        self.size = encoder.size
        self.detokenize = encoder.detokenize
        self.close = encoder.close

    def generate(self, task: Generation, emit: Callable[[Piece], bool]) -> None:
        """See `TextModel.generate`."""
        raise NotSupportedError("this model makes embeddings, and no text")

    def embed(self, texts: Sequence[str]) -> tuple[Any, int]:
        """See `TextModel.embed`."""
        if not texts:
            raise InvalidInputError("there is no text to embed")
        read = 0

        def pooled(output: Any, mask: torch.Tensor) -> torch.Tensor:
            nonlocal read
            read += int(mask.sum())
            return self._pooled(output, mask)

        return self._encoder.run(texts, pooled), read

    def _pooled(self, output: Any, mask: torch.Tensor) -> torch.Tensor:
        hidden = output.last_hidden_state.float()
        there = mask[..., None].bool()
        rows = torch.arange(len(mask), device=mask.device)
        match self._pooling:
            case "mean":
                pooled = (hidden * there).sum(1) / there.sum(1).clamp(min=1)
            case "max":
                pooled = hidden.masked_fill(~there, -torch.inf).amax(1)
            case "cls":  # the first token of the text, on whichever side is padded
                pooled = hidden[rows, mask.argmax(1)]
            case _:
                last = mask.shape[1] - 1 - mask.flip(1).argmax(1)
                pooled = hidden[rows, last]
        return torch.nn.functional.normalize(pooled, dim=1)


class ClassifyingModel:
    """See `base.LoadedModel`: `text` to `scores`, in the order of the model's labels, and the
    `label` of the highest."""

    def __init__(self, encoder: Encoder, spec: ModelSpec, labels: Sequence[str], way: str) -> None:
        self._encoder = encoder
        self._labels = np.array([label.encode() for label in labels], dtype=object)
        self._way = way
        outputs = [
            TensorSpec(name="scores", datatype="FP32", shape=[-1, len(labels)]),
            TensorSpec(name="label", datatype="BYTES", shape=[-1]),
        ]
        self.spec = ModelSpec(
            platform=spec.platform,
            inputs=[TensorSpec(name="text", datatype="BYTES", shape=[-1])],
            outputs=outputs,
            providers=spec.providers,
            degraded=spec.degraded,
        )

    def infer(self, inputs: Arrays, outputs: Sequence[str]) -> Mapping[str, Any]:
        """See `LoadedModel.infer`."""
        check_arrays(self.spec.inputs, inputs)
        check_outputs(self.spec.outputs, outputs)
        try:
            texts = [each.decode() for each in inputs["text"]]
        except (UnicodeDecodeError, AttributeError):
            raise InvalidInputError("the strings of text must be UTF-8") from None
        scores = np.zeros((0, len(self._labels)), np.float32)
        if texts:
            scores = self._encoder.run(texts, self._scored)
        found = {"scores": scores, "label": self._labels[scores.argmax(1)]}
        return {name: found[name] for name in outputs}

    def interrupt(self) -> None:
        """Nothing: an encoder's run goes to its end."""

    def close(self) -> None:
        """See `LoadedModel.close`."""
        self._encoder.close()

    def _scored(self, output: Any, mask: torch.Tensor) -> torch.Tensor:
        logits = output.logits.float()
        match self._way:
            case "softmax":
                return torch.softmax(logits, dim=-1)
            case "sigmoid":
                return torch.sigmoid(logits)
        return logits
