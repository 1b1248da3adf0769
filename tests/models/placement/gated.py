"""A model's process that loads only while a file is there that the test makes."""

import os
import time
from pathlib import Path

from sensorium.models.exchange import Task
from sensorium.models.host import _HOST, serve

GATE = "TEST_GATE"
SERVE = f"{__name__}:serve"
_load = _HOST.load


class Gate:
    """Models are loaded while it is open."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.open()

    def open(self) -> None:
        self._path.touch()

    def shut(self) -> None:
        self._path.unlink()


def load(task: Task) -> object:
    while not Path(os.environ[GATE]).exists():
        time.sleep(0.01)
    return _load(task)


_HOST.load = load  # type: ignore[assignment,method-assign]
__all__ = ["GATE", "SERVE", "Gate", "serve"]
