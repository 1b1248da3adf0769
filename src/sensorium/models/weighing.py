"""How much memory a model will hold, told from its header before it is loaded."""

from sensorium.core.errors import InvalidInputError
from sensorium.models.artifact import Artifact
from sensorium.models.backends.base import LoadOptions
from sensorium.models.dequantising import weights_bytes
from sensorium.models.headers.estimate import estimate
from sensorium.models.headers.reading import read_header


def weigh(artifact: Artifact, options: LoadOptions) -> int:
    """Bytes that a model is reckoned to hold once it is loaded.

    Raises:
        InvalidInputError: its file is malformed, or could run code of its own.
        NotFoundError: a file of it is missing.
    """
    if artifact.format == "remote":
        return 0
    try:
        header = read_header(artifact, trusted=options.trusted)
    except InvalidInputError as error:
        message = f"the {artifact.format} file of {artifact.name} cannot be used: {error.message}"
        raise InvalidInputError(message, details=error.details) from None
    tokens = options.tokens(header.context_length) * options.parallel
    return estimate(header, weights_bytes=weights_bytes(header)).total_bytes(tokens)
