"""A model that is loaded, and what is known of its use; and one that is being loaded."""

import asyncio
import time
from dataclasses import dataclass
from typing import Literal

from sensorium.models.artifact import Artifact
from sensorium.models.backends.base import LoadOptions
from sensorium.models.placement.base import Placed

ELSEWHERE = (
    *("cuda", "tensorrt", "nv_tensorrt_rtx", "migraphx", "directml", "webgpu", "gpu", "mps", "xpu"),
    "remote",
)
"""Providers that compute on a GPU, or on another machine."""


class Loaded:
    """A model that is loaded, and what is known of its use."""

    def __init__(
        self, artifact: Artifact, options: LoadOptions, placed: Placed, keep_alive_s: float
    ) -> None:
        self.artifact = artifact
        self.options = options
        self.placed = placed
        self.keep_alive_s = keep_alive_s
        self.memory_bytes = 0
        """What it is reckoned to hold, of main memory or of its device's."""
        self.users = 0
        self.retired = False
        """Takes no more calls, and is closed after the last."""
        self.since = time.time()
        self.used_at = time.monotonic()
        self.succeeded_at: float | None = None
        self.failed_at: float | None = None
        """Of real inference, on the clock of `time.time`."""

    @property
    def label(self) -> str:
        """Its name, with its version where that is not the usual one."""
        name, version = self.artifact.name, self.artifact.version
        return name if version == "1" else f"{name}@{version}"

    @property
    def on_cpu(self) -> bool:
        """Whether its runs take this machine's processors."""
        return not {*self.placed.facts.spec.providers[:1]} & {*ELSEWHERE}

    @property
    def main_bytes(self) -> int:
        """What it is reckoned to hold of main memory; a GPU's driver tells of the GPU's."""
        return self.memory_bytes if self.on_cpu else 0

    @property
    def expires_in_s(self) -> float | None:
        """Seconds until it is unloaded if nobody uses it; None for never, or while it is used."""
        if self.users or self.keep_alive_s < 0:
            return None
        return max(0.0, self.used_at + self.keep_alive_s - time.monotonic())

    @property
    def state(self) -> Literal["untested", "ready", "failing"]:
        """`untested`, `ready` or `failing`: as its latest real inference was."""
        if self.succeeded_at is None and self.failed_at is None:
            return "untested"
        return "ready" if (self.succeeded_at or 0) >= (self.failed_at or 0) else "failing"


@dataclass(slots=True)
class Loading:
    """A model that is being loaded."""

    task: asyncio.Task[Loaded]
    artifact: Artifact
    options: LoadOptions
    deleted: bool = False
    """Its files are gone meanwhile."""

    def serves(self, artifact: Artifact, options: LoadOptions) -> bool:
        """Whether it is what another caller wants, too."""
        return not self.deleted and (self.artifact, self.options) == (artifact, options)
