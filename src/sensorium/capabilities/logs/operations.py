"""The operations on logs."""

from sensorium.capabilities.logs.schema import ClusterRequest, ClusterResponse
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
