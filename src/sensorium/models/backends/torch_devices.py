"""Where torch computes, and its tensors as arrays."""

from typing import Any

import numpy as np
import torch

from sensorium.core.errors import InvalidInputError
from sensorium.core.tensors import Datatype
from sensorium.models.backends.base import LoadOptions
from sensorium.models.hardware.choosing import choose, confirmed
from sensorium.models.hardware.detect import available

TYPES: dict[Datatype, torch.dtype] = {
    "BOOL": torch.bool,
    "UINT8": torch.uint8,
    "UINT16": torch.uint16,
    "UINT32": torch.uint32,
    "UINT64": torch.uint64,
    "INT8": torch.int8,
    "INT16": torch.int16,
    "INT32": torch.int32,
    "INT64": torch.int64,
    "FP16": torch.float16,
    "BF16": torch.bfloat16,
    "FP32": torch.float32,
    "FP64": torch.float64,
}
DATATYPES = {dtype: datatype for datatype, dtype in TYPES.items()}


def device_of(options: LoadOptions) -> tuple[torch.device, str, str]:
    """The device that is to compute, our name for it, and why it is not what was asked for.

    Raises:
        InvalidInputError: torch has no such device.
        UnavailableError: it is not here, and no fallback was asked for.
    """
    chosen = choose(options.providers, available("torch"), fallback=options.fallback)
    here = ["cpu", *(name for name in ("cuda", "mps", "xpu") if _is_here(name))]
    chosen = confirmed(chosen, here, fallback=options.fallback)
    if not chosen.providers or chosen.providers[0].name == "cpu":
        return torch.device("cpu"), "cpu", chosen.degraded
    return torch.device(chosen.providers[0].name, 0), chosen.providers[0].id, chosen.degraded


def to_torch(array: Any, datatype: Datatype, device: torch.device) -> torch.Tensor:
    """An array as a tensor on a device. The array is copied: a model may write into its inputs."""
    tensor = torch.from_numpy(np.array(array))
    if datatype == "BF16":
        tensor = tensor.view(torch.bfloat16)
    return tensor.to(device)


def to_numpy(tensor: torch.Tensor) -> Any:
    """A tensor as an array; bfloat16 as its bits.

    Raises:
        InvalidInputError: the protocol has no such elements.
    """
    if tensor.dtype not in DATATYPES or tensor.layout != torch.strided:
        raise InvalidInputError(f"the model gave a tensor of {tensor.dtype}, which is not served")
    plain = tensor.detach().cpu().contiguous()
    return (plain.view(torch.uint16) if plain.dtype == torch.bfloat16 else plain).numpy()


def _is_here(name: str) -> bool:
    module = getattr(torch, name, None)
    return module is not None and bool(module.is_available())
