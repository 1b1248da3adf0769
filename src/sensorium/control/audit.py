"""The audit log: one line for each call that changes something."""

import time
from pathlib import Path

import msgspec

from sensorium.core.dispatch import Caller

FILE = "audit.jsonl"


class Audit:
    """Appends to `audit.jsonl` under the data folder."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / FILE

    def record(self, operation: str, caller: Caller, code: str) -> None:
        """Write who called what, and how it ended; no request body is kept.

        Raises:
            OSError: the disk is full or read-only.
        """
        entry = {
            "time": time.time(),
            "operation": operation,
            "principal": caller.principal.id,
            "door": caller.door,
            "request_id": caller.request_id,
            "code": code,
        }
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._path.open("ab") as file:
            file.write(msgspec.json.encode(entry) + b"\n")
