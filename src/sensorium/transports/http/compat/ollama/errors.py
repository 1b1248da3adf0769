"""Errors as Ollama's clients tell them apart: by status, and by words."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sensorium.core.errors import NotFoundError, SensoriumError
from sensorium.transports.http.compat.refusing import told

SHOWN = 200


def error_body(error: SensoriumError) -> dict[str, Any]:
    """An error's body, which is also the line that ends a stream."""
    return {"error": told(error)}


def named(error: SensoriumError, model: str) -> SensoriumError:
    """An error of a call that named a model: by these words clients know to pull it."""
    if isinstance(error, NotFoundError):
        return NotFoundError(f"model '{model[:SHOWN]}' not found")
    return error


@contextmanager
def naming(model: str) -> Iterator[None]:
    """Let errors out as `named`."""
    try:
        yield
    except NotFoundError as error:
        raise named(error, model) from None
