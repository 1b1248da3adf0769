"""What `/metrics` shows of lanes, workers and the event loop."""

from sensorium.control.processes import Processes
from sensorium.control.threads import Threads
from sensorium.core.telemetry import Reading, Telemetry


def readings(threads: Threads, processes: Processes | None, telemetry: Telemetry) -> list[Reading]:
    """The figures that are kept anyway, read when somebody scrapes."""
    lanes = [threads.lane, threads.stream_lane]
    pools = {}
    if processes is not None:
        lanes += [processes.lane, processes.big_lane, processes.stream_lane]
        pools = {"call": processes.pool, "stream": processes.stream_pool}
    return [
        Reading(
            "sensorium_queue_depth",
            "Calls that wait for a slot.",
            "gauge",
            lambda: {lane.name: lane.waiting for lane in lanes},
        ),
        Reading(
            "sensorium_slots_in_use",
            "Slots that run a call.",
            "gauge",
            lambda: {lane.name: lane.in_use for lane in lanes},
        ),
        Reading(
            "sensorium_workers_alive",
            "Worker processes that are up.",
            "gauge",
            lambda: {name: pool.stats().alive for name, pool in pools.items()},
        ),
        Reading(
            "sensorium_worker_restarts",
            "Worker processes that died and were replaced.",
            "counter",
            lambda: {name: pool.restarts for name, pool in pools.items()},
        ),
        Reading(
            "sensorium_event_loop_lag_seconds",
            "How late the event loop woke from a sleep.",
            "gauge",
            lambda: {"latest": telemetry.loop_lag_s, "max": telemetry.loop_lag_max_s},
        ),
    ]
