"""Which backend runs which format, and whether its files may be run in the server's own process."""

from dataclasses import dataclass

from sensorium.core.errors import NotSupportedError
from sensorium.core.loading import load
from sensorium.models.artifact import Format
from sensorium.models.backends.base import Backend


@dataclass(frozen=True)
class Row:
    """A backend: its name, the address of its instance, and where it may run."""

    name: str
    target: str
    in_process: bool = False
    """By default; whatever parses untrusted files in native code runs in a process of its own."""
    text: bool = False
    """Whether its models make text."""


_PLACE = "sensorium.models.backends"
BACKENDS: dict[Format, Row] = {
    "gguf": Row("gguf", f"{_PLACE}.gguf:BACKEND", text=True),
    "onnx": Row("onnx", f"{_PLACE}.onnx:BACKEND", in_process=True),
    "litert": Row("litert", f"{_PLACE}.litert:BACKEND"),
    "mediapipe": Row("mediapipe", f"{_PLACE}.mediapipe:BACKEND"),
    "torchscript": Row("torchscript", f"{_PLACE}.torchscript:BACKEND"),
    "transformers": Row("transformers", f"{_PLACE}.transformers:BACKEND", text=True),
    "lightgbm": Row("lightgbm", f"{_PLACE}.lightgbm:BACKEND"),
    "remote": Row("remote", f"{_PLACE}.remote:BACKEND", text=True),
}


def row_of(format: Format) -> Row:
    """The backend of a format.

    Raises:
        NotSupportedError: there is none.
    """
    row = BACKENDS.get(format)
    if row is None:
        raise NotSupportedError(f"there is no backend for {format} models")
    return row


def backend_of(format: Format) -> Backend:
    """The backend of a format, loaded now.

    Raises:
        NotSupportedError: there is none.
        UnavailableError: its library is not installed; says how to get it.
    """
    found: Backend = load(row_of(format).target)
    return found
