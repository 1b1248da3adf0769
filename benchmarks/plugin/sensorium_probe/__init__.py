"""A plugin that watches the event loop from inside the server, for the benchmarks."""

import asyncio
import time
from typing import Annotated

from msgspec import Meta, Struct

from sensorium.core.operation import Context, Execution, operation

TICK_S = 0.001


class Watch(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long to watch."""

    seconds: Annotated[float, Meta(gt=0, le=60)] = 1.0


class Stalls(Struct, frozen=True, kw_only=True):
    """The worst that was seen between two ticks of a millisecond."""

    late_ms: float
    """By the clock: also what the machine gave to other processes."""
    held_ms: float
    """By the loop's thread's CPU time: what its own callbacks took."""
    over_5_ms: int
    """How many ticks were later than 5 ms."""
    ticks: int


@operation("probe.stalls", execution=Execution.ASYNC, example=Watch(seconds=0.01))
async def stalls(request: Watch, context: Context) -> Stalls:
    """How late the event loop was at worst, and for how long it was held."""
    del context
    clock, cpu = time.perf_counter(), time.thread_time()
    until = clock + request.seconds
    late: list[float] = []
    held = 0.0
    while clock < until:
        await asyncio.sleep(TICK_S)
        clock_before, cpu_before = clock, cpu
        clock, cpu = time.perf_counter(), time.thread_time()
        late.append(clock - clock_before - TICK_S)
        held = max(held, cpu - cpu_before)
    return Stalls(
        late_ms=1e3 * max(late),
        held_ms=1e3 * held,
        over_5_ms=sum(each > 0.005 for each in late),
        ticks=len(late),
    )
