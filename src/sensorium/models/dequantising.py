"""Which quantised weights become plain numbers on load, as no library here computes with them."""

from importlib.util import find_spec

from sensorium.models.headers.header import Header

KERNELS = {"gptq": "gptqmodel", "awq": "gptqmodel"}
"""The library that computes with what a method made; without it the weights are dequantised."""


def is_dequantised(method: str) -> bool:
    """Whether weights of a method are dequantised here."""
    return method in KERNELS and find_spec(KERNELS[method]) is None


def weights_bytes(header: Header) -> int:
    """Bytes of a model's weights once they are loaded; 0 for those of its file."""
    is_folder = header.format == "transformers"
    return header.plain_bytes if is_folder and is_dequantised(header.quantisation) else 0
