"""The operations on logs."""

from collections.abc import Iterator

from sensorium.capabilities.logs.schema import (
    ClusterRequest,
    ClusterResponse,
    CompareRequest,
    CompareResponse,
)
from sensorium.capabilities.logs.watch_schema import WatchEvent, WatchInput, WatchRequest
from sensorium.core.loading import load
from sensorium.core.operation import Execution, WorkContext, operation

_EXAMPLE_LINES = [
    "2024-05-01 12:00:00 ERROR auth: Failed password for alice from 10.0.0.7 port 4242",
    "2024-05-01 12:00:01 ERROR auth: Failed password for bob from 10.0.0.9 port 4711",
    "2024-05-01 12:00:02 WARN db: Query timed out after 3000 ms",
]


@operation(
    "logs.cluster",
    execution=Execution.PROCESS,
    lines_field="lines",
    example=ClusterRequest(lines=_EXAMPLE_LINES),
)
def cluster(request: ClusterRequest, context: WorkContext) -> ClusterResponse:
    """Group log lines into labelled patterns.

    Raises:
        CancelledCallError, DeadlineExceededError: see `WorkContext.check`.
    """
    engine = load("sensorium.capabilities.logs.engine:cluster")
    return engine(request, context)  # type: ignore[no-any-return]


@operation(
    "logs.compare",
    execution=Execution.PROCESS,
    example=CompareRequest(before=_EXAMPLE_LINES[2:] * 20, after=_EXAMPLE_LINES * 20),
)
def compare(request: CompareRequest, context: WorkContext) -> CompareResponse:
    """What is new, gone, or changed in rate between two sets of log lines.

    Raises:
        CancelledCallError, DeadlineExceededError: see `WorkContext.check`.
    """
    engine = load("sensorium.capabilities.logs.compare:compare")
    return engine(request, context)  # type: ignore[no-any-return]


@operation(
    "logs.watch",
    execution=Execution.PROCESS,
    lines_field="lines",
    example=WatchRequest(),
    incoming_example=(WatchInput(lines=_EXAMPLE_LINES),),
)
def watch(
    request: WatchRequest, incoming: Iterator[WatchInput], context: WorkContext
) -> Iterator[WatchEvent]:
    """Watch log lines as they come: new patterns, changed rates, summaries, a last snapshot.

    Raises:
        InvalidInputError: the snapshot does not hold together.
        CancelledCallError, DeadlineExceededError: see `WorkContext.check`.
    """
    engine = load("sensorium.capabilities.logs.watch:watch")
    return engine(request, incoming, context)  # type: ignore[no-any-return]
