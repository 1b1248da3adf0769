"""How GPTQ and AWQ pack weights into 32-bit words, and the numbers that they stand for.

GPTQ: Frantar et al., 2022, as AutoGPTQ and GPTQModel store it. AWQ: Lin et al., 2023, as AutoAWQ's
GEMM version stores it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from sensorium.core.errors import InvalidInputError

WORD_BITS = 32
BITS = {"gptq": (2, 4, 8), "awq": (4,)}
"""Those of which whole numbers of weights fit into a word."""
GPTQ_FORMATS = {"gptq": 1, "gptq_v2": 0}
"""What is added to a zero point that is stored in each."""
AWQ_ORDER = (0, 4, 1, 5, 2, 6, 3, 7)
"""Where in a word each of eight neighbours lies."""
BLOCK = 2048
"""So many output features are dequantised at once; a multiple of what a word holds."""
PARTS = ("qweight", "qzeros", "scales", "g_idx")


@dataclass(frozen=True, slots=True)
class Layout:
    """How the weights of a model are packed."""

    method: str
    bits: int
    group_size: int
    """Input features that share a scale; -1: all of a layer."""
    added: int = 0
    """To each zero point as it is stored."""

    @property
    def per_word(self) -> int:
        """Weights in a word."""
        return WORD_BITS // self.bits


def layout_of(told: Mapping[str, Any]) -> Layout:
    """The layout that a `quantization_config` tells.

    Raises:
        InvalidInputError: it tells none, or one that is not dequantised here.
    """
    method = str(told.get("quant_method", "")).lower()
    bits, group_size = told.get("bits", told.get("w_bit")), told.get("group_size", 128)
    if method not in BITS:
        raise InvalidInputError(f"its weights are quantised by {method[:40]!r}, which is not run")
    if type(bits) is not int or bits not in BITS[method]:
        known = ", ".join(map(str, BITS[method]))
        raise InvalidInputError(
            f"its weights have {str(bits)[:20]} bits by {method}; dequantised are {known}"
        )
    if type(group_size) is not int or not (group_size == -1 or 0 < group_size < 1 << 24):
        raise InvalidInputError(f"its group_size is {str(group_size)[:20]}, which is no size")
    _check_variant(method, told)
    added = GPTQ_FORMATS[_gptq_format(told)] if method == "gptq" else 0
    return Layout(method=method, bits=bits, group_size=group_size, added=added)


def dequantised(parts: Mapping[str, torch.Tensor], layout: Layout, dtype: Any) -> torch.Tensor:
    """The weight of a linear layer, of shape (output features, input features).

    Args:
        parts: `qweight`, `qzeros`, `scales` and perhaps `g_idx` (the group of each input feature).
        layout: How they are packed.
        dtype: What the weight is to be made of.

    Raises:
        InvalidInputError: they do not fit each other, or the layout.
    """
    inputs, outputs = _features(parts, layout)
    scales = parts["scales"].float()
    groups = _groups(parts.get("g_idx"), inputs, layout, len(scales))
    zeros = _unpacked_columns(parts["qzeros"], layout)
    zeros = (zeros + layout.added) & ((1 << layout.bits) - 1)
    weight = torch.empty(outputs, inputs, dtype=dtype)
    for start in range(0, outputs, BLOCK):
        block = slice(start, min(start + BLOCK, outputs))
        numbers = _numbers(parts["qweight"], layout, block) - zeros[:, block][groups]
        weight[block] = (numbers * scales[:, block][groups]).T.to(dtype)
    return weight


def _check_variant(method: str, told: Mapping[str, Any]) -> None:
    if method == "gptq":
        kind = _gptq_format(told)
        known = kind in GPTQ_FORMATS and told.get("pack_dtype", "int32") == "int32"
        changed = told.get("dynamic") or {}
        if isinstance(changed, dict) and any(changed.values()):
            raise InvalidInputError("its layers are quantised in different ways, which is not run")
    else:
        kind = str(told.get("version", told.get("format", "gemm"))).lower()
        known = kind == "gemm"
    if not known:
        raise InvalidInputError(
            f"its {method} weights are packed as {kind[:40]!r}, which is not run"
        )


def _gptq_format(told: Mapping[str, Any]) -> str:
    return str(told.get("checkpoint_format") or told.get("format") or "gptq").lower()


def _features(parts: Mapping[str, torch.Tensor], layout: Layout) -> tuple[int, int]:
    """Input and output features of a layer, whose parts fit each other."""
    if missing := [each for each in PARTS[:3] if each not in parts]:
        raise InvalidInputError(f"it has no {missing[0]}")
    weight, zeros, scales = (parts[each] for each in PARTS[:3])
    if weight.dtype != torch.int32 or zeros.dtype != torch.int32 or not scales.is_floating_point():
        raise InvalidInputError("its parts are not of int32, int32 and floats")
    if not weight.ndim == zeros.ndim == scales.ndim == 2:
        raise InvalidInputError("its parts are no matrices")
    rows, columns = weight.shape
    if layout.method == "gptq":
        inputs, outputs = rows * layout.per_word, columns
    else:
        inputs, outputs = rows, columns * layout.per_word
    if outputs % layout.per_word:
        raise InvalidInputError(
            f"it has {outputs} output features, whose zero points fill no whole words of "
            f"{layout.per_word}"
        )
    whole = inputs if layout.group_size == -1 else layout.group_size
    count = -(-inputs // whole) if whole else 0
    if scales.shape != (count, outputs) or zeros.shape != (count, outputs // layout.per_word):
        raise InvalidInputError(
            f"its scales are {tuple(scales.shape)} and its qzeros {tuple(zeros.shape)}, but should "
            f"be {(count, outputs)} and {(count, outputs // layout.per_word)}: {layout.bits} bits "
            f"in groups of {layout.group_size}"
        )
    return inputs, outputs


def _groups(given: torch.Tensor | None, inputs: int, layout: Layout, count: int) -> torch.Tensor:
    """The group of each input feature."""
    if given is None:
        size = inputs if layout.group_size == -1 else layout.group_size
        return torch.arange(inputs) // size
    if given.shape != (inputs,) or given.dtype not in (torch.int32, torch.int64):
        raise InvalidInputError(f"its g_idx has not one group for each of {inputs} features")
    if inputs and not 0 <= int(given.min()) <= int(given.max()) < count:
        raise InvalidInputError("its g_idx names groups that are not there")
    return given.long()


def _numbers(weight: torch.Tensor, layout: Layout, block: slice) -> torch.Tensor:
    """The packed numbers of some output features: (input features, output features)."""
    if layout.method == "gptq":
        words = weight[:, block]
        shifts = torch.arange(layout.per_word, dtype=torch.int32) * layout.bits
        spread = words[:, None, :] >> shifts[None, :, None]
        return (spread & ((1 << layout.bits) - 1)).reshape(-1, words.shape[1])
    words = weight[:, block.start // layout.per_word : block.stop // layout.per_word]
    return _unpacked_columns(words, layout)


def _unpacked_columns(words: torch.Tensor, layout: Layout) -> torch.Tensor:
    """Numbers of which neighbours in a row share a word."""
    order = AWQ_ORDER if layout.method == "awq" else range(layout.per_word)
    shifts = torch.tensor([*order], dtype=torch.int32) * layout.bits
    spread = words[:, :, None] >> shifts
    return (spread & ((1 << layout.bits) - 1)).reshape(len(words), -1)
