"""The one way in which code that is heavy, optional or far away is loaded late."""

from importlib import import_module
from typing import Any

from sensorium.core.errors import UnavailableError

EXTRAS = {
    "PIL": "pictures",
    "ai_edge_litert": "litert",
    "aioice": "webrtc",
    "aiortc": "webrtc",
    "av": "webrtc",
    "gguf": "quantize",
    "google": "grpc",
    "grpc": "grpc",
    "grpc_health": "grpc",
    "grpc_reflection": "grpc",
    "lightgbm": "lightgbm",
    "matplotlib": "plots",
    "mcp": "mcp",
    "mcp_types": "mcp",
    "onnxmltools": "lightgbm",
    "opentelemetry": "otel",
    "safetensors": "transformers",
    "skl2onnx": "lightgbm",
    "torch": "torch",
    "transformers": "transformers",
}
"""Which extra of the package brings which library."""


def load(target: str) -> Any:
    """The attribute that `package.module:attribute` names, importing the module now if need be.

    Raises:
        UnavailableError: a library that the module needs is not installed; says how to get it.
    """
    module, _, attribute = target.partition(":")
    try:
        return getattr(import_module(module), attribute)
    except ModuleNotFoundError as error:
        library = (error.name or "").partition(".")[0]
        if library in ("", "sensorium"):
            raise
        raise UnavailableError(
            f"{library} is not installed: {how_to_install(library)}", details={"missing": library}
        ) from error


def how_to_install(library: str) -> str:
    """The command that brings a library."""
    extra = EXTRAS.get(library)
    return f"pip install 'sensorium[{extra}]'" if extra else f"pip install {library}"
