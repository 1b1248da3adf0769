"""What one operating system tells of its machine."""

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from sensorium.models.hardware.schema import Api, Cpu, Gpu, Memory, Npu

Check: TypeAlias = Callable[[], None]
"""Raises where nobody waits for the answer any more."""


class Parts(NamedTuple):
    """The machine, without what can be made to run on it."""

    cpu: Cpu
    memory: Memory
    gpus: list[Gpu]
    npus: list[Npu]
    apis: list[Api]
    problems: tuple[str, ...] = ()


def unwatched() -> None:
    """A `Check` for an answer that is always wanted."""
