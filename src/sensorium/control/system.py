"""The `system` operations: is it there, is it ready, what can it do, what did it just do."""

import time
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct, field
from msgspec.structs import astuple

from sensorium.control.hardware import hardware as hardware
from sensorium.control.measuring import measure as measure
from sensorium.control.readiness import Readiness
from sensorium.core.operation import Context, Execution, Operation, WorkContext, operation
from sensorium.core.registry import Registry
from sensorium.core.schema import schema_of
from sensorium.core.telemetry import BUCKETS_S, OperationStats, RecentCall
from sensorium.core.types import Count, Nothing, Text
from sensorium.core.version import VERSION


class Health(Struct, frozen=True, kw_only=True):
    """The server lives."""

    status: Annotated[Literal["live"], Meta(description="It lives, or it would not say so.")] = (
        "live"
    )
    version: Annotated[str, Meta(description="Sensorium's version.")]


@operation("system.health", execution=Execution.INLINE, public=True, example=Nothing())
def health(request: Nothing, context: WorkContext) -> Health:
    """Whether the server lives: it answers."""
    del request, context
    return Health(version=VERSION)


class WorkerReadiness(Struct, frozen=True):
    """The worker processes."""

    wanted: Annotated[Count, Meta(description="How many there should be.")]
    alive: Annotated[Count, Meta(description="How many are up.")]
    busy: Annotated[Count, Meta(description="How many run a call.")]
    restarts: Annotated[Count, Meta(description="How many died and were replaced.")]


class Ready(Struct, frozen=True, kw_only=True):
    """Whether to send traffic, and how each part is."""

    ready: Annotated[bool, Meta(description="Whether to send traffic here.")]
    draining: Annotated[bool, Meta(description="It is stopping and takes no new calls.")]
    doors: Annotated[dict[str, str], Meta(description="Each door's state.")]
    ports: Annotated[dict[str, Count], Meta(description="The ports of those that have one.")] = {}
    capabilities: Annotated[
        dict[str, Literal["untested", "ready", "failing"]],
        Meta(description="From real, recent work; one that is not listed was never used yet."),
    ]
    models: Annotated[
        dict[str, Literal["untested", "ready", "failing"]],
        Meta(description="The models that are loaded: as their latest real inference was."),
    ] = {}
    workers: Annotated[
        WorkerReadiness | None, Meta(description="null where everything runs in one process.")
    ] = None


@operation("system.ready", execution=Execution.ASYNC, public=True, example=Nothing())
async def ready(request: Nothing, context: Context) -> Ready:
    """Whether to send traffic here, and how each door and capability is."""
    del request
    readiness = context.get(Readiness)
    stats = readiness.workers() if readiness.workers is not None else None
    return Ready(
        ready=readiness.ready,
        draining=readiness.draining,
        doors=dict(readiness.doors),
        ports=dict(readiness.ports),
        capabilities={noun: state.value for noun, state in readiness.capabilities().items()},
        models=readiness.models(),
        workers=None if stats is None else WorkerReadiness(*astuple(stats)),
    )


class OperationsRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which operations to describe."""

    schemas: Annotated[bool, Meta(description="With JSON schemas of what goes in and out.")] = False


class OperationEntry(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One operation."""

    name: Annotated[str, Meta(description="noun.verb, from which every address follows.")]
    summary: Annotated[str, Meta(description="What it does, in a line.")]
    kind: Annotated[
        Literal["unary", "server_stream", "duplex"],
        Meta(description="duplex: it takes a stream and answers with one."),
    ]
    execution: Annotated[
        Literal["inline", "async", "thread", "process"], Meta(description="Where it runs.")
    ]
    changes: Annotated[bool, Meta(description="Whether it changes something.")] = False
    request: Annotated[dict[str, Any] | None, Meta(description="JSON schema of the request.")] = (
        None
    )
    incoming: Annotated[
        dict[str, Any] | None, Meta(description="JSON schema of the items sent to it.")
    ] = None
    response: Annotated[
        dict[str, Any] | None, Meta(description="JSON schema of the answer, or of each item.")
    ] = None


class Operations(Struct, frozen=True, kw_only=True):
    """What this server can do."""

    operations: Annotated[list[OperationEntry], Meta(description="By name.")]


@operation("system.operations", execution=Execution.ASYNC, example=OperationsRequest())
async def operations(request: OperationsRequest, context: Context) -> Operations:
    """The operations there are: names, summaries, and schemas on request."""
    registry = context.get(Registry)
    return Operations(operations=[_entry(each, schemas=request.schemas) for each in registry])


def _entry(each: Operation, *, schemas: bool) -> OperationEntry:
    return OperationEntry(
        name=each.name,
        summary=each.summary,
        kind=each.kind.value,
        execution=each.execution.value,
        changes=each.changes,
        request=schema_of(each.request) if schemas else None,
        incoming=schema_of(each.incoming) if schemas and each.incoming else None,
        response=schema_of(each.response) if schemas else None,
    )


def _null() -> msgspec.Raw:
    return msgspec.Raw(b"null")  # made by a function, because a JSON schema cannot show a Raw


class EchoRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something to send back."""

    text: Annotated[Text, Meta(description="Comes back as it is.", examples=["hello"])] = ""
    data: Annotated[msgspec.Raw, Meta(description="Any JSON; comes back as it is.")] = field(
        default_factory=_null
    )


class Echo(Struct, frozen=True, kw_only=True):
    """What was sent."""

    text: Annotated[str, Meta(description="The text that was sent.")]
    data: Annotated[msgspec.Raw, Meta(description="The JSON that was sent.")] = field(
        default_factory=_null
    )


@operation("system.echo", execution=Execution.INLINE, example=EchoRequest(text="hello"))
def echo(request: EchoRequest, context: WorkContext) -> Echo:
    """What it is sent, for trying a door."""
    del context
    return Echo(text=request.text, data=request.data)


class OperationActivity(Struct, frozen=True, kw_only=True):
    """What one operation did since the server started."""

    operation: Annotated[str, Meta(description="Its name.")]
    calls: Annotated[Count, Meta(description="Calls that ended.")]
    failed: Annotated[Count, Meta(description="Calls that ended in an error.")]
    in_flight: Annotated[Count, Meta(description="Calls that run or wait.")]
    p50_s: Annotated[float, Meta(description="Median latency: its histogram bucket's bound.")]
    p99_s: Annotated[float, Meta(description="99th percentile of latency, likewise.")]


class Activity(Struct, frozen=True, kw_only=True):
    """What the server did."""

    uptime_s: Annotated[float, Meta(description="Seconds since it started.")]
    event_loop_lag_s: Annotated[float, Meta(description="The newest reading.")]
    operations: Annotated[list[OperationActivity], Meta(description="Those that were called.")]
    recent: Annotated[list[RecentCall], Meta(description="The latest calls, newest last.")]


@operation("system.activity", execution=Execution.ASYNC, example=Nothing())
async def activity(request: Nothing, context: Context) -> Activity:
    """The calls of this server and their latencies, and the latest ones."""
    del request
    telemetry = context.get(Readiness).telemetry
    return Activity(
        uptime_s=time.time() - telemetry.started,
        event_loop_lag_s=telemetry.loop_lag_s,
        operations=[_activity(name, stats) for name, stats in sorted(telemetry.operations.items())],
        recent=list(telemetry.recent),
    )


def _activity(name: str, stats: OperationStats) -> OperationActivity:
    calls = stats.codes.total()
    return OperationActivity(
        operation=name,
        calls=calls,
        failed=calls - stats.codes["ok"],
        in_flight=stats.in_flight,
        p50_s=_percentile(stats.buckets, 0.5),
        p99_s=_percentile(stats.buckets, 0.99),
    )


def _percentile(buckets: list[int], share: float) -> float:
    """The upper bound of the bucket in which that share of the calls is reached; 0 for none."""
    wanted, seen = share * sum(buckets), 0
    for count, bound in zip(buckets, (*BUCKETS_S, BUCKETS_S[-1]), strict=True):
        seen += count
        if count and seen >= wanted:
            return bound
    return 0.0
