"""What a caller may say of a call beside its request."""

from collections.abc import Callable
from dataclasses import dataclass

from sensorium.core.dispatch import Caller, Priority

Report = Callable[[int, int | None, str], None]
"""Told how far the work is: done, total if known, unit."""


@dataclass(frozen=True, slots=True)
class Options:
    """How a call is to be made."""

    timeout_s: float | None = None
    priority: Priority = Priority.INTERACTIVE
    idempotency_key: str | None = None
    on_progress: Report | None = None

    def caller(self) -> Caller:
        """The same, for a call in this process."""
        return Caller(
            deadline_s=self.timeout_s,
            priority=self.priority,
            idempotency_key=self.idempotency_key,
            on_progress=self.on_progress,
        )
