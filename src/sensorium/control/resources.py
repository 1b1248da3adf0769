"""The `resources` operations: memory on a device for a while, by priority."""

import time
from typing import Annotated, Literal

from msgspec import Meta, Struct

from sensorium.control.leases import Leases
from sensorium.control.wishes import Lease, Wish
from sensorium.core.dispatch import Caller
from sensorium.core.operation import Context, Execution, operation
from sensorium.core.types import Count, Nothing

LeaseId = Annotated[str, Meta(min_length=1, max_length=64, description="The lease's id.")]
DeviceName = Annotated[str, Meta(max_length=40, description="`cpu`, `nvidia:0`, `amd:1`, …")]
Priority = Annotated[int, Meta(ge=0, le=100, description="The higher goes first.")]
Duration = Annotated[
    float, Meta(gt=0, le=86_400, description="Seconds until it ends by itself, unless renewed.")
]


class LeaseRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What memory is wanted."""

    size_bytes: Annotated[int, Meta(ge=1, le=2**50, description="How many bytes.")]
    devices: Annotated[
        list[DeviceName], Meta(max_length=64, description="Any of these; []: any there is.")
    ] = []
    priority: Priority = 50
    duration_s: Duration = 300.0
    wait_s: Annotated[
        float, Meta(ge=0, le=3600, description="How long to wait until there is so much.")
    ] = 0.0
    preempt: Annotated[
        bool, Meta(description="Take it from idle models, and from leases of lower priority.")
    ] = False
    purpose: Annotated[str, Meta(max_length=200, description="What for; shown in the usage.")] = ""


class LeaseAnswer(Struct, frozen=True, kw_only=True):
    """A lease."""

    lease: Annotated[str, Meta(description="Its id, to renew and release it.")]
    device: Annotated[str, Meta(description="Where the memory is.")]
    size_bytes: Annotated[Count, Meta(description="How much it is.")]
    expires_in_s: Annotated[float, Meta(description="Seconds until it ends.")]
    preempted: Annotated[list[str], Meta(description="Leases that were taken back for it.")] = []


class RenewRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which lease is to last longer."""

    lease: LeaseId
    duration_s: Duration = 300.0


class ReleaseRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which lease is over."""

    lease: LeaseId


class Released(Struct, frozen=True, kw_only=True):
    """How a lease ended."""

    ended: Annotated[
        Literal["released", "expired", "preempted"],
        Meta(description="Now, or before: its time was over, or it was taken back."),
    ]


class LeaseUsage(Struct, frozen=True, kw_only=True):
    """A lease that somebody holds."""

    lease: Annotated[str, Meta(description="Its id, if it is yours; else ''.")]
    device: Annotated[str, Meta(description="Where the memory is.")]
    size_bytes: Annotated[Count, Meta(description="How much it is.")]
    priority: Annotated[Count, Meta(description="The higher goes first.")]
    expires_in_s: Annotated[float, Meta(description="Seconds until it ends.")]
    purpose: Annotated[str, Meta(description="What for, as its holder says.")]


class DeviceUsage(Struct, frozen=True, kw_only=True):
    """A device's memory."""

    device: Annotated[str, Meta(description="`cpu`, `nvidia:0`, …")]
    total_bytes: Annotated[Count, Meta(description="All of it.")]
    leased_bytes: Annotated[Count, Meta(description="What is leased.")]
    others_bytes: Annotated[Count, Meta(description="What else is held: models, other programs.")]
    free_bytes: Annotated[Count, Meta(description="What a lease may have now.")]


class Usage(Struct, frozen=True, kw_only=True):
    """Who holds what."""

    devices: Annotated[list[DeviceUsage], Meta(description="Each device.")]
    leases: Annotated[list[LeaseUsage], Meta(description="Each lease.")]
    waiting: Annotated[Count, Meta(description="Wishes that wait.")]


@operation(
    "resources.lease",
    execution=Execution.ASYNC,
    changes=True,
    deadline_s=3600.0,
    example=LeaseRequest(size_bytes=1 << 20, duration_s=1.0, purpose="example"),
)
async def lease(request: LeaseRequest, context: Context) -> LeaseAnswer:
    """Memory on a device for a while; it is a promise between those who lease, and no limit."""
    wish = Wish(
        holder=context.get(Caller).principal.id,
        size=request.size_bytes,
        devices=tuple(request.devices),
        priority=request.priority,
        duration_s=request.duration_s,
        preempt=request.preempt,
        purpose=request.purpose,
    )
    return _answer(await context.get(Leases).lease(wish, request.wait_s))


@operation(
    "resources.renew",
    execution=Execution.ASYNC,
    changes=True,
    example=RenewRequest(lease="none"),
)
async def renew(request: RenewRequest, context: Context) -> LeaseAnswer:
    """Have a lease of yours last longer, from now on."""
    holder = context.get(Caller).principal.id
    return _answer(context.get(Leases).renew(request.lease, holder, request.duration_s))


@operation(
    "resources.release",
    execution=Execution.ASYNC,
    changes=True,
    example=ReleaseRequest(lease="none"),
)
async def release(request: ReleaseRequest, context: Context) -> Released:
    """Give a lease of yours back, or hear how it ended before."""
    holder = context.get(Caller).principal.id
    ended = context.get(Leases).release(request.lease, holder)
    return Released(ended=ended)  # type: ignore[arg-type]


@operation("resources.usage", execution=Execution.ASYNC, example=Nothing())
async def usage(request: Nothing, context: Context) -> Usage:
    """The memory of each device: leased, held otherwise, free; and who holds leases."""
    del request
    leases, holder = context.get(Leases), context.get(Caller).principal.id
    devices = [
        DeviceUsage(
            device=each.name,
            total_bytes=each.total_bytes,
            leased_bytes=each.leased_bytes,
            others_bytes=each.others(),
            free_bytes=each.free_bytes,
        )
        for each in await leases.devices()
    ]
    held = [_used(each, own=each.wish.holder == holder) for each in leases.held]
    return Usage(devices=devices, leases=held, waiting=leases.waiting)


def _answer(lease: Lease) -> LeaseAnswer:
    return LeaseAnswer(
        lease=lease.id,
        device=lease.device.name,
        size_bytes=lease.wish.size,
        expires_in_s=_left(lease),
        preempted=lease.preempted,
    )


def _used(lease: Lease, *, own: bool) -> LeaseUsage:
    return LeaseUsage(
        lease=lease.id if own else "",
        device=lease.device.name,
        size_bytes=lease.wish.size,
        priority=lease.wish.priority,
        expires_in_s=_left(lease),
        purpose=lease.wish.purpose,
    )


def _left(lease: Lease) -> float:
    return max(0.0, lease.expires_at - time.monotonic())
