"""One row of the demonstration: what was asked, what came back, and whether it holds."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from sensorium.cli.logfiles import read_lines
from sensorium.cli.seriesfiles import Wanted, read_series
from sensorium.core.types import Series

SAMPLES = Path(__file__).parent / "samples"


@dataclass(frozen=True)
class Own:
    """The user's own files, in place of the samples; what they should give is not known."""

    log: str = ""
    metrics: str = ""

    def lines(self) -> list[str]:
        """The user's log."""
        return read_lines([self.log])

    def series(self) -> list[Series]:
        """The user's metrics."""
        return read_series(self.metrics, Wanted())


@dataclass
class Told:
    """A row; `seconds` counts only the time that `timed` was open."""

    input: str
    answer: str = ""
    seconds: float = 0.0
    unmet: list[str] = field(default_factory=list)

    def expect(self, holds: bool, otherwise: str) -> None:
        """Note what does not hold."""
        if not holds:
            self.unmet.append(otherwise)

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Count the time within."""
        begin = time.perf_counter()
        try:
            yield
        finally:
            self.seconds += time.perf_counter() - begin


def sample_lines(name: str) -> list[str]:
    """The lines of a log that ships with Sensorium."""
    return read_lines([str(SAMPLES / name)])


def sample_series() -> list[Series]:
    """The metrics that ship with Sensorium, a series for each column."""
    return read_series(str(SAMPLES / "metrics.csv"), Wanted())
