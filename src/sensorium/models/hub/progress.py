"""What a pull tells while it runs."""

import time
from collections import deque
from typing import Annotated, Literal

from msgspec import Meta, Struct

from sensorium.core.types import Count
from sensorium.models.artifact import Format

Phase = Literal["waiting", "resolving", "fetching", "checking", "done"]
Bytes = Annotated[Count, Meta(description="Bytes, over all files.")]
Rate = Annotated[float, Meta(ge=0, le=1e15, description="Bytes per second, lately.")]
MAX_ETA_S = 1e9
Eta = Annotated[
    Annotated[float, Meta(ge=0, le=MAX_ETA_S)] | None,
    Meta(description="Seconds still to go; null where unknown."),
]
WINDOW_S = 5.0


class PullOutcome(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was fetched."""

    name: Annotated[str, Meta(description="What the model is called here.")]
    version: Annotated[str, Meta(description="A whole number; 1 for all that is fetched.")] = "1"
    format: Annotated[Format, Meta(description="How it is loaded.")]
    digest: Annotated[str, Meta(description="SHA-256 of the model, see the catalogue.")]
    files: Annotated[tuple[str, ...], Meta(description="Its files, relative to its folder.")]
    size_bytes: Annotated[Count, Meta(description="Bytes of its files.")]
    fetched_bytes: Annotated[Count, Meta(description="Bytes that this pull had to transfer.")] = 0
    verified: Annotated[
        bool, Meta(description="Whether every file has the hash that its source or you named.")
    ]
    source: Annotated[
        str, Meta(description="Where it is from: `hf://org/name@commit`, or an address.")
    ] = ""
    licence: Annotated[str, Meta(description="As its source names it; empty if it does not.")] = ""
    task: Annotated[str, Meta(description="As its source names it; empty if it does not.")] = ""
    problem: Annotated[
        str, Meta(description="Why it will not load, by what its header says; empty if it may.")
    ] = ""


class PullProgress(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How far a pull is; the last one carries the outcome."""

    phase: Annotated[
        Phase,
        Meta(
            description="`waiting` for another pull of the same model, `resolving` what to fetch, "
            "`fetching`, `checking` hashes, `done`."
        ),
    ]
    file: Annotated[str, Meta(description="The file that is being fetched or checked.")] = ""
    done_bytes: Bytes = 0
    total_bytes: Annotated[Count, Meta(description="0 while unknown.")] = 0
    rate_bytes_per_s: Rate = 0.0
    eta_s: Eta = None
    outcome: Annotated[PullOutcome | None, Meta(description="With the last item.")] = None


class Meter:
    """The rate of the last seconds, from the bytes that came in so far."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def progress(
        self, phase: Phase, file: str, *, done: int, total: int, fresh: int
    ) -> PullProgress:
        """How far it is; `fresh` are the bytes that came over the network in this pull."""
        now = time.monotonic()
        self._seen.append((now, fresh))
        while len(self._seen) > 2 and now - self._seen[1][0] > WINDOW_S:
            self._seen.popleft()
        begun, first = self._seen[0]
        rate = (fresh - first) / (now - begun) if now > begun else 0.0
        left = max(0, total - done)
        return PullProgress(
            phase=phase,
            file=file,
            done_bytes=done,
            total_bytes=total,
            rate_bytes_per_s=rate,
            eta_s=min(left / rate, MAX_ETA_S) if rate > 0 and total else None,
        )
