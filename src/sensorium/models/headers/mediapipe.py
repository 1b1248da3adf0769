"""Bundles of MediaPipe: zip files whose members are models, stored as they are."""

from dataclasses import dataclass, field

from sensorium.core.errors import InvalidInputError
from sensorium.models.headers import archive, tflite
from sensorium.models.headers.header import Header, dominant, listed, shown
from sensorium.models.headers.source import Source

MAX_NESTED = 3
"""Bundles may hold bundles."""
MAX_MODELS = 64


@dataclass
class _Bundle:
    models: dict[str, Header] = field(default_factory=dict)
    """Headers of the models inside, by their names."""
    members: int = 0


def read(source: Source) -> Header:
    """The header of a bundle: what its models add up to; of a single one, what it takes and gives.

    Raises:
        InvalidInputError: it, or a model in it, is malformed; says how.
    """
    found = _Bundle()
    _read(source, found, "", 1)
    if not found.models:
        raise InvalidInputError("it holds no TensorFlow Lite model")
    headers = list(found.models.values())
    sizes: dict[str, int] = {}
    for each in headers:
        sizes[each.quantisation] = sizes.get(each.quantisation, 0) + each.tensor_bytes
    alone = headers[0] if len(headers) == 1 else None
    return Header(
        format="mediapipe",
        file_bytes=source.size,
        parameters=sum(each.parameters for each in headers),
        tensor_bytes=sum(each.tensor_bytes for each in headers),
        tensors=sum(each.tensors for each in headers),
        inputs=alone.inputs if alone else [],
        outputs=alone.outputs if alone else [],
        quantisation=dominant(sizes),
        details={"models": listed(list(found.models)), "members": str(found.members)},
    )


def _read(source: Source, found: _Bundle, prefix: str, depth: int) -> None:
    if depth > MAX_NESTED:
        raise InvalidInputError(f"bundles are nested more than {MAX_NESTED} deep")
    for member in archive.members(source):
        name = prefix + member.name
        if member.method != archive.STORED:
            raise InvalidInputError(f"{shown(name)} is compressed, which bundles may not be")
        found.members += 1
        part = source.part(member.at, member.size)
        start = part.read(0, min(8, part.size))
        if start[4:] == tflite.IDENTIFIER or name.endswith(".tflite"):
            found.models[name] = _model(part, name)
            if len(found.models) > MAX_MODELS:
                raise InvalidInputError(f"it holds more than {MAX_MODELS} models")
        elif name.endswith(".task"):
            _read(part, found, f"{name}/", depth + 1)


def _model(part: Source, name: str) -> Header:
    try:
        return tflite.read(part)
    except InvalidInputError as error:
        raise InvalidInputError(f"{shown(name)}: {error.message}") from None
