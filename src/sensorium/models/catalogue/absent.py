"""A model that is not there, and those that are."""

from collections.abc import Sequence

from sensorium.core.errors import NotFoundError

SHOWN = 20


class NoModelError(NotFoundError):
    """There is no model of that name."""

    def __init__(self, name: str, there: Sequence[str]) -> None:
        self.name, self.there = name, list(there)
        more = f" and {len(there) - SHOWN} more" if len(there) > SHOWN else ""
        told = f"there is {', '.join(there[:SHOWN])}{more}" if there else "there is none yet"
        super().__init__(f"there is no model {name[:80]!r} here; {told}: pull one, or name another")
