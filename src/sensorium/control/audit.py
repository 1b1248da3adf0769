"""The audit log: one line for each call that changes something."""

import logging
import time
from pathlib import Path

import msgspec

from sensorium.core.dispatch import Caller

log = logging.getLogger("sensorium.control")
FILE = "audit.jsonl"


class Audit:
    """Appends to `audit.jsonl` under the data folder."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / FILE

    def record(self, operation: str, caller: Caller, code: str) -> None:
        """Write who called what, and how it ended; no request body is kept.

        Where the disk is full or read-only, the entry goes to the server's log: the change is
        made by now, and its caller has a right to the answer.
        """
        entry = {
            "time": time.time(),
            "operation": operation,
            "principal": caller.principal.id,
            "door": caller.door,
            "request_id": caller.request_id,
            "code": code,
        }
        line = msgspec.json.encode(entry)
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with self._path.open("ab") as file:
                file.write(line + b"\n")
        except OSError as error:
            log.error("the audit log cannot be written (%s): %s", error.strerror, line.decode())
