"""A GGUF file, written tensor by tensor with llama.cpp's own library for it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gguf
import numpy as np

from sensorium.core.errors import InvalidInputError
from sensorium.models.quantising import q4_k
from sensorium.models.quantising.progress import Precision
from sensorium.models.quantising.rope import row_order
from sensorium.models.quantising.shape import Config
from sensorium.models.quantising.tensors import GGML, Planned
from sensorium.models.quantising.tokens import Vocabulary
from sensorium.models.quantising.weights import Weights

AT_ONCE = 1 << 18
"""Weights that are quantised in one go: what they take stays in a processor's cache."""
FILE_TYPES = {
    "q8_0": gguf.LlamaFileType.MOSTLY_Q8_0,
    "q4_K": gguf.LlamaFileType.MOSTLY_Q4_K_S,
}

SCALES = {"F16": 1, "Q8_0": 1, "Q4_K": 2}
"""How many float16 each block of a type begins with."""


class Writer:
    """Writes one file.

    Args:
        path: Where to.
        config: The model's shape.
        vocabulary: Its tokens.
        tensors: What the file is to hold.
    """

    def __init__(
        self, path: Path, config: Config, vocabulary: Vocabulary, tensors: list[Planned]
    ) -> None:
        self._tensors = tensors
        self._writer: Any = gguf.GGUFWriter(path, config.architecture)
        _add_shape(self._writer, config)
        _add_vocabulary(self._writer, vocabulary)

    def describe(self, name: str, licence: str, precision: Precision) -> None:
        """What the file says of its origin."""
        self._writer.add_name(name)
        if licence:
            self._writer.add_license(licence)
        self._writer.add_file_type(FILE_TYPES[precision])
        self._writer.add_quantization_version(gguf.GGML_QUANT_VERSION)

    def write(self, weights: Weights) -> Iterator[tuple[str, int]]:
        """Write the file; yields a tensor and how many of its rows were done since.

        Raises:
            InvalidInputError: a tensor holds numbers that are not finite, or too large.
            OSError: it cannot be written.
        """
        for each in self._tensors:
            self._writer.add_tensor_info(
                each.name,
                each.shape,
                np.dtype(np.float32),
                each.rows * each.row_bytes,
                gguf.GGMLQuantizationType[each.type],
            )
        self._writer.write_header_to_file()
        self._writer.write_kv_data_to_file()
        self._writer.write_ti_data_to_file()
        for each in self._tensors:
            made = np.empty((each.rows, each.row_bytes), np.uint8)
            for block in _blocks(each):
                made[block] = _quantised(_rows(each, weights, block), each)
                yield each.name, block.stop - block.start
            self._writer.write_tensor_data(made)

    def close(self) -> None:
        """Close the file; what was written of it stays."""
        self._writer.close()


def _blocks(tensor: Planned) -> Iterator[slice]:
    step = max(1, AT_ONCE // tensor.shape[-1])
    for start in range(0, tensor.rows, step):
        yield slice(start, min(start + step, tensor.rows))


def _rows(tensor: Planned, weights: Weights, block: slice) -> Any:
    if tensor.values is not None:
        return tensor.values.reshape(1, -1)
    if not tensor.heads:
        return weights.rows(tensor.source, block)
    if len(tensor.shape) > 1:
        return weights.rows(tensor.source, row_order(tensor.rows, tensor.heads)[block])
    return weights.rows(tensor.source, block)[:, row_order(tensor.shape[0], tensor.heads)]


def _quantised(rows: Any, tensor: Planned) -> Any:
    """Rows of float32 as the bytes of a tensor's type.

    Raises:
        InvalidInputError: they have numbers beyond what the type can tell.
    """
    kind = tensor.type
    with np.errstate(over="ignore", invalid="ignore"):  # it is seen in what was made
        if kind == "Q4_K":
            made = q4_k.quantise(rows)
        else:
            made = gguf.quants.quantize(np.ascontiguousarray(rows), gguf.GGMLQuantizationType[kind])
    data = np.ascontiguousarray(made).view(np.uint8)
    if kind in SCALES:
        blocks = data.reshape(-1, GGML[kind].block_bytes)
        scales = np.ascontiguousarray(blocks[:, : 2 * SCALES[kind]]).view(np.float16)
        if not np.isfinite(scales).all():
            raise InvalidInputError(
                f"its {tensor.source[:80]} holds numbers that are too large for {kind}"
            )
    return data


def _add_shape(writer: Any, config: Config) -> None:
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.context)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.kv_heads)
    writer.add_key_length(config.head_length)
    writer.add_value_length(config.head_length)
    writer.add_rope_dimension_count(config.head_length)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    writer.add_rope_freq_base(config.rope.rope_theta)
    if config.rope_kind == "linear":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(config.rope.factor)


def _add_vocabulary(writer: Any, vocabulary: Vocabulary) -> None:
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(vocabulary.pre)
    writer.add_token_list(vocabulary.tokens)
    writer.add_token_types(vocabulary.kinds)
    writer.add_token_merges(vocabulary.merges)
    for name, number in vocabulary.special.items():
        getattr(writer, f"add_{name}_token_id")(number)
    writer.add_add_bos_token(vocabulary.begins)
    writer.add_add_eos_token(vocabulary.ends)
    if vocabulary.template:
        writer.add_chat_template(vocabulary.template)
