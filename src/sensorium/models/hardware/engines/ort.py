"""What the installed ONNX Runtime was built with."""

import onnxruntime


def builds() -> frozenset[str]:
    """The names of its providers. That one is among them says nothing of the machine."""
    return frozenset(onnxruntime.get_available_providers())
