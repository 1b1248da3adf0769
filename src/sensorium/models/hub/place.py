"""Where fetched models go, and how the network may be used."""

import os
from dataclasses import dataclass
from pathlib import Path

from sensorium.core.settings import Secret

MIB = 1 << 20
NO_TOKEN = Secret("")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The settings of a pull."""

    cache: Path
    """The folder of models."""
    endpoint: str = ""
    """Address of the hub; empty: `HF_ENDPOINT`, or the public one."""
    token: Secret = NO_TOKEN
    """For the hub alone; empty: `HF_TOKEN`, or the one of its own log-in."""
    offline: bool = False
    """Use what is there and no network; `HF_HUB_OFFLINE` says the same."""
    local_files: bool = True
    """Take `file://` references, which read whatever the server may read, and web addresses of this
    machine and its private networks."""
    connections: int = 8
    range_bytes: int = 16 * MIB
    """How much one request asks for at most."""
    connect_s: float = 10.0
    stall_s: float = 20.0
    """A connection that brings less than a KiB per second for so long is given up."""
    attempts: int = 6
    """How many times in a row a part may fail without a byte before the pull fails."""

    @property
    def hub(self) -> str:
        """The hub's address, `""` for the public one."""
        return (self.endpoint or os.environ.get("HF_ENDPOINT", "")).rstrip("/")

    @property
    def uses_no_network(self) -> bool:
        """Whether the network is not to be used."""
        said = os.environ.get("HF_HUB_OFFLINE", "").strip().lower()
        return self.offline or said in ("1", "true", "yes", "on")
