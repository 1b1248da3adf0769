"""Files that are to be fetched, and the parts that they are fetched in."""

from dataclasses import dataclass

from sensorium.models.hub.addresses import Reach


class ChangedError(Exception):
    """What is there now is not the file that was begun."""


@dataclass(frozen=True, slots=True)
class Item:
    """A file that is to be fetched."""

    path: str
    """Where it goes in the model's folder."""
    url: str
    size: int | None = None
    sha256: str = ""
    blob: str = ""
    """Its git blob id, where that is all that is known."""
    least: Reach = Reach.LOOPBACK
    """How far the machine must be that it is fetched from."""

    @property
    def known_as(self) -> str:
        """What it is known to hash to beforehand."""
        return self.sha256 or self.blob


@dataclass(slots=True)
class Part:
    """Bytes `start` (the beginning of a block) to `end` of a file, fetched up to `at`.

    Without an `end`, up to wherever the answer ends.
    """

    start: int
    end: int | None
    generation: int
    at: int = 0
    failures: int = 0
    """In a row, none of which brought a byte."""
    not_before: float = 0.0
    """On the clock of `time.monotonic`."""
