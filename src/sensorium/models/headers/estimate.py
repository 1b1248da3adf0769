"""How much memory a model will need, told from its header alone."""

from math import prod
from typing import Annotated

from msgspec import Meta, Struct

from sensorium.core.tensors import ITEM_SIZES, TensorSpec
from sensorium.core.types import Count
from sensorium.models.headers.header import Attention, Header

ONNX_RUNTIME_BYTES = 16 << 20
"""Of a session without weights."""

TOKENIZER_TIMES = 6
"""So many times the bytes of its file a tokenizer holds."""


class MemoryEstimate(Struct, frozen=True, kw_only=True):
    """Bytes that a model needs once it is loaded."""

    weights_bytes: Annotated[Count, Meta(description="Its tensors.")]
    per_token_bytes: Annotated[Count, Meta(description="More for each token of context.")] = 0
    scratch_bytes: Annotated[Count, Meta(description="What it computes with.")] = 0

    def total_bytes(self, context_tokens: int = 0) -> int:
        """All of it, with so many tokens of context, in all conversations together."""
        return self.weights_bytes + self.per_token_bytes * context_tokens + self.scratch_bytes


def estimate(
    header: Header,
    *,
    cache_bytes: float = 2,
    batch_tokens: int = 512,
    weights_bytes: int = 0,
) -> MemoryEstimate:
    """What a model needs, once.

    `weights_bytes` is for weights that do not stay as their file has them; 0 for those that do.
    `cache_bytes` is for one number of a key or a value (2 as float16), `batch_tokens` how many
    tokens are computed at once. A model whose attention slides over a window needs less.
    """
    weights = weights_bytes or max(header.tensor_bytes, header.file_bytes)
    vocabulary_alone = header.file_bytes and not header.tensors
    if header.attention is None or vocabulary_alone:
        scratch = sum(map(_smallest_bytes, [*header.inputs, *header.outputs]))
        if header.format == "tokenizer":
            weights *= TOKENIZER_TIMES
        if header.format == "onnx":
            # What is inside the file is held twice while its weights are laid out anew.
            scratch += ONNX_RUNTIME_BYTES + min(header.tensor_bytes, header.file_bytes)
        return MemoryEstimate(weights_bytes=weights, scratch_bytes=scratch)
    attention = header.attention
    numbers = attention.kv_heads * (attention.key_length + attention.value_length)
    return MemoryEstimate(
        weights_bytes=weights,
        per_token_bytes=int(numbers * cache_bytes),
        scratch_bytes=_scratch_bytes(attention, batch_tokens),
    )


def _scratch_bytes(attention: Attention, batch_tokens: int) -> int:
    """Activations in float32, as llama.cpp lays them out, and the logits of one token.

    A mask of 2 bytes for each token of the batch and of the context is left out.
    """
    inside = 5 * attention.embedding_length + 3 * attention.feed_forward_length
    return 4 * (batch_tokens * inside + attention.vocabulary)


def _smallest_bytes(spec: TensorSpec) -> int:
    """Bytes of a tensor where every extent that may vary is one."""
    return prod(abs(extent) for extent in spec.shape) * ITEM_SIZES.get(spec.datatype, 0)
