"""GPTQ and AWQ models of the transformers library where no kernels are: dequantised on load."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from transformers import AutoConfig

from sensorium.core.errors import InvalidInputError
from sensorium.models.backends.quantised_layouts import PARTS, Layout, dequantised, layout_of
from sensorium.models.headers.transformers import weight_files

LOCAL = {"local_files_only": True, "trust_remote_code": False}


def load_dequantised(folder: Path, kind: Any) -> tuple[Any, Any, str]:
    """A model with plain weights, what the library tells of its loading, and what it costs.

    Args:
        folder: Its `config.json` and safetensors.
        kind: The library's class that makes models of its kind, such as `AutoModelForCausalLM`.

    Raises:
        InvalidInputError: its parts do not fit each other, or are packed in a way not known here.
    """
    config = AutoConfig.from_pretrained(folder, **LOCAL)
    layout = layout_of(_told(config))
    del config.quantization_config
    dtype = config.dtype if isinstance(config.dtype, torch.dtype) else None
    weights, file_bytes = _weights(folder, layout, dtype)
    with torch.device("meta"):
        made = type(kind.from_config(config))
    model, told = made.from_pretrained(
        None,
        config=config,
        state_dict=weights,
        dtype=dtype or "auto",
        output_loading_info=True,
    )
    return model, told, _cost(model, file_bytes)


def _told(config: Any) -> dict[str, Any]:
    told = config.quantization_config
    return dict(told if isinstance(told, dict) else told.to_dict())


def _weights(
    folder: Path, layout: Layout, dtype: torch.dtype | None
) -> tuple[dict[str, torch.Tensor], int]:
    """All tensors by name, packed ones made plain, and the bytes that they had."""
    weights: dict[str, torch.Tensor] = {}
    packed: dict[str, dict[str, torch.Tensor]] = {}
    file_bytes = 0
    for name, tensor in _tensors(folder):
        file_bytes += tensor.nbytes
        layer, _, part = name.rpartition(".")
        if part not in PARTS:
            weights[name] = tensor
            continue
        parts = packed.setdefault(layer, {})
        parts[part] = tensor
    for layer in sorted(packed):
        parts = packed.pop(layer)
        try:
            weights[f"{layer}.weight"] = dequantised(
                parts, layout, dtype or parts.get("scales", torch.empty(0)).dtype
            )
        except InvalidInputError as error:
            raise InvalidInputError(f"{layer[:120]}: {error.message}") from None
    if not weights:
        raise InvalidInputError("its files hold no tensors")
    return weights, file_bytes


def _tensors(folder: Path) -> Iterator[tuple[str, torch.Tensor]]:
    for path in weight_files(folder):
        with safe_open(path, framework="pt") as file:
            for name in sorted(file.keys()):
                yield name, file.get_tensor(name)


def _cost(model: Any, file_bytes: int) -> str:
    """What dequantising costs, in words; tied weights count once."""
    times = sum(each.nbytes for each in model.parameters()) / max(1, file_bytes)
    return f"dequantised on load: it takes {times:.1f} times the memory of its file"
