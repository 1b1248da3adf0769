"""The vectors of a remote model's embeddings."""

from typing import Any

import numpy as np

from sensorium.core.errors import UnavailableError
from sensorium.models.backends.remote_dialect import Dialect


def vectors(dialect: Dialect, body: bytes, count: int) -> tuple[Any, int]:
    """So many vectors in an answer, and the tokens of their texts (0: they are not told).

    The vectors are float32, of shape (count, dimensions) and length 1.

    Raises:
        UnavailableError: it has others.
    """
    told, tokens = dialect.vectors(body)
    try:
        found = np.array(told, dtype=np.float32)
    except ValueError:
        found = np.zeros(0, np.float32)
    if found.ndim != 2 or len(found) != count or not np.isfinite(found).all():
        raise UnavailableError("the remote server answers with other vectors than asked for")
    length = np.linalg.norm(found, axis=1, keepdims=True)
    return found / np.maximum(length, np.finfo(np.float32).tiny), tokens
