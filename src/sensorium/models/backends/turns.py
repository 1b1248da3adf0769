"""One at a time has a model; others wait, as long as anybody wants what they make."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sensorium.core.errors import UnavailableError
from sensorium.models.backends.looking import LOOK_S, Looking


def unloaded() -> UnavailableError:
    """The error of a model that is asked after it was closed."""
    return UnavailableError("the model was unloaded; try again", retry_after_s=0.1)


class Turns:
    """A model, and whose turn it is."""

    def __init__(self, model: Any) -> None:
        self._model: Any = model
        self._lock = threading.Lock()

    @contextmanager
    def take(self, looking: Looking | None = None) -> Iterator[Any]:
        """The model, when nobody else has it.

        Raises:
            UnavailableError: it was closed.
            UnwantedError: nobody wants the text any more.
        """
        while not self._lock.acquire(timeout=LOOK_S):
            if looking is not None:
                looking.check()
        try:
            if self._model is None:
                raise unloaded()
            yield self._model
        finally:
            self._lock.release()

    def close(self) -> Any:
        """The model, when nobody has it, and then never again; None where it is gone already."""
        with self._lock:
            model, self._model = self._model, None
        return model
