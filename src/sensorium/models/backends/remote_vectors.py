"""The vectors of a remote model's embeddings."""

from typing import Any

import numpy as np

from sensorium.core.errors import UnavailableError
from sensorium.models.backends.remote_dialect import Dialect


def vectors(dialect: Dialect, body: bytes, count: int) -> Any:
    """So many vectors in an answer: float32, shape (count, dimensions), length 1.

    Raises:
        UnavailableError: it has others.
    """
    try:
        found = np.array(dialect.vectors(body), dtype=np.float32)
    except ValueError:
        found = np.zeros(0, np.float32)
    if found.ndim != 2 or len(found) != count or not np.isfinite(found).all():
        raise UnavailableError("the remote server answers with other vectors than asked for")
    length = np.linalg.norm(found, axis=1, keepdims=True)
    return found / np.maximum(length, np.finfo(np.float32).tiny)
