"""Projectors of GGUF models: what turns a picture into what the model reads."""

from pathlib import Path

from msgspec.structs import replace

from sensorium.core.errors import InvalidInputError
from sensorium.models.headers import gguf
from sensorium.models.headers.header import Header, shown
from sensorium.models.headers.source import opened

ARCHITECTURE = "clip"
"""What every projector calls itself, of whatever kind it is."""
TOLD = ("projector", "pictures")


def joined(model: Header, projector: Path) -> Header:
    """A model's header, with the bytes of its projector and what that tells.

    Raises:
        InvalidInputError: the projector is malformed, or none; says how.
        NotFoundError: it is missing.
    """
    try:
        with opened(projector) as source:
            found = gguf.read(source)
    except InvalidInputError as error:
        raise InvalidInputError(f"its projector (mmproj): {error.message}") from None
    if found.architecture != ARCHITECTURE:
        raise InvalidInputError(
            f"its projector (mmproj) is none, but of the architecture {shown(found.architecture)}"
        )
    return replace(
        model,
        tensor_bytes=model.tensor_bytes + found.tensor_bytes,
        file_bytes=model.file_bytes + found.file_bytes,
        details=model.details | {key: found.details[key] for key in TOLD if key in found.details},
    )
