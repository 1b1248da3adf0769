"""The one way to what a model file says of itself."""

from collections.abc import Callable
from pathlib import Path

from sensorium.core.errors import InvalidInputError
from sensorium.models.artifact import Artifact, Format
from sensorium.models.headers import (
    gguf,
    lightgbm,
    mediapipe,
    onnx,
    projectors,
    safetensors,
    tflite,
    tokenizer,
    torchscript,
    transformers,
)
from sensorium.models.headers.header import Header
from sensorium.models.headers.source import Source, opened

READERS: dict[Format, Callable[[Source], Header]] = {
    "gguf": gguf.read,
    "lightgbm": lightgbm.read,
    "litert": tflite.read,
    "mediapipe": mediapipe.read,
    "onnx": onnx.read,
    "tokenizer": tokenizer.read,
    "torchscript": torchscript.read,
    "transformers": safetensors.read,
}
"""What reads a file of each format; a folder is read for `transformers` alone."""


def read_header(
    model: Artifact | Path,
    format: Format | None = None,
    *,
    trusted: bool = False,
    projector: Path | None = None,
) -> Header:
    """What a model says of itself; nothing of it is run, and little of it is read.

    `format` and `projector` are told where `model` is a path. `trusted` takes what is well formed,
    yet could run code of its own once it is loaded: torch.export programs, TorchScript that
    reaches for files, and classes that a config brings.

    Raises:
        InvalidInputError: it is malformed, or could run code; the message says what is wrong.
        NotFoundError: a file of it is missing, or may not be read.
    """
    path = model.path if isinstance(model, Artifact) else model
    if isinstance(model, Artifact):
        format, projector = format or model.format, model.projector
    if format is None or format == "remote":
        raise InvalidInputError("only a model that lies here in a known format has a header")
    if format == "transformers" and path.suffix != ".safetensors":
        return transformers.read(path, trusted=trusted)
    with opened(path) as source:
        if format == "torchscript":
            return torchscript.read(source, trusted=trusted)
        found = READERS[format](source)
    return found if projector is None else projectors.joined(found, projector)
