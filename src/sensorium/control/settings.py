"""What can be set about how calls are run."""

from typing import Annotated

from msgspec import Meta, Struct

from sensorium.core.settings import Secret
from sensorium.models.hardware.cores import usable_cores


class ControlSettings(Struct, frozen=True, kw_only=True):
    """How calls are run."""

    data_dir: Annotated[
        str, Meta(description="Where keys and records are kept; default: the platform's folder.")
    ] = ""
    workers: Annotated[
        int,
        Meta(ge=0, le=256, description="Worker processes; 0: one per usable core, at least two."),
    ] = 0
    threads: Annotated[
        int, Meta(ge=1, le=256, description="Threads for operations that release the GIL.")
    ] = 4
    streams: Annotated[
        int, Meta(ge=1, le=10_000, description="Computing streams that may be open at once.")
    ] = 64
    queue: Annotated[
        int, Meta(ge=0, le=100_000, description="Calls that may wait for a slot of one kind.")
    ] = 512
    max_body_bytes: Annotated[
        int, Meta(ge=1, le=2**40, description="The largest request body, also once decompressed.")
    ] = 256 << 20
    max_inline_bytes: Annotated[
        int, Meta(ge=1, le=2**30, description="The largest body decoded on the event loop.")
    ] = 1 << 20
    max_pending_bytes: Annotated[
        int, Meta(ge=1, le=2**40, description="Request bodies held in memory, all together.")
    ] = 1 << 30
    escalate_bytes: Annotated[
        int,
        Meta(
            ge=0,
            le=2**40,
            description="A larger body is big: it goes to a worker process, "
            "and big ones together never take the last worker.",
        ),
    ] = 256 << 10
    task_cpu_s: Annotated[
        float,
        Meta(
            ge=0,
            le=86_400,
            description="Seconds of a processor that a call may use in a worker process; 0: any.",
        ),
    ] = 0.0
    worker_memory_bytes: Annotated[
        int,
        Meta(ge=0, le=2**50, description="Memory that a worker process may take; 0: any."),
    ] = 0
    deadline_s: Annotated[
        float, Meta(gt=0, le=86_400, description="The longest that any call may take.")
    ] = 600.0
    api_keys: Annotated[
        Secret, Meta(description="Keys that may call everything, separated by commas.")
    ] = Secret("")
    make_key: Annotated[
        bool,
        Meta(description="Where a key is needed and there is none, make one and print it once."),
    ] = False
    allow_unauthenticated: Annotated[
        bool, Meta(description="Serve a public address without asking for a key.")
    ] = False

    @property
    def worker_count(self) -> int:
        """How many worker processes that comes to."""
        return self.workers or max(2, usable_cores())
