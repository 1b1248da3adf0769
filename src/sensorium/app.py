"""The composition root: settings in, a wired server out. Only here is known who implements what."""

import asyncio
import os
import secrets
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from msgspec import Struct
from platformdirs import user_data_path

from sensorium.capabilities.pipelines.library import Pipelines
from sensorium.capabilities.pipelines.settings import PipelineSettings
from sensorium.control.access import Access
from sensorium.control.audit import Audit
from sensorium.control.changes import Changes
from sensorium.control.devices import MAIN, Devices
from sensorium.control.inference import Inference
from sensorium.control.keys import KeyStore
from sensorium.control.leases import Leases
from sensorium.control.pipeline import Pipeline
from sensorium.control.processes import Processes
from sensorium.control.readiness import Readiness
from sensorium.control.settings import ControlSettings
from sensorium.control.threads import Threads
from sensorium.core.dispatch import Caller
from sensorium.core.loading import load
from sensorium.core.operation import Kind
from sensorium.core.registry import Registry
from sensorium.core.settings import Loaded
from sensorium.core.settings import load as load_sections
from sensorium.core.telemetry import LogSettings, Reading, Telemetry, as_environment
from sensorium.models.artifact import Artifact
from sensorium.models.backends.base import LoadOptions
from sensorium.models.catalogue.shelves import Shelves
from sensorium.models.hub.place import Place
from sensorium.models.hub.puller import Puller
from sensorium.models.placing import Placer
from sensorium.models.pool import Pool
from sensorium.models.settings import ModelSettings
from sensorium.transports.grpc.settings import GrpcSettings
from sensorium.transports.http.settings import HttpSettings
from sensorium.transports.mcp.settings import McpSettings
from sensorium.transports.webrtc.rooms import Rooms
from sensorium.transports.webrtc.sessions import Sessions
from sensorium.transports.webrtc.settings import WebRtcSettings

MODULES = {
    "system": "sensorium.control.system",
    "logs": "sensorium.capabilities.logs.operations",
    "metrics": "sensorium.capabilities.metrics.operations",
    "chat": "sensorium.capabilities.language.chat",
    "text": "sensorium.capabilities.language.text",
    "models": "sensorium.capabilities.models.operations",
    "pipelines": "sensorium.capabilities.pipelines.operations",
    "resources": "sensorium.control.resources",
    "webrtc": "sensorium.transports.webrtc.operations",
}
"""Which module declares the operations of a noun; each is imported when first asked for."""
LIBRARIES = {"http": "uvicorn", "grpc": "grpc", "webrtc": "aiortc", "mcp": "mcp"}
"""The doors that need a library, and which."""
LAG_S = 0.1
UNKNOWN_MEMORY = 4 << 30
"""What models may hold where nothing tells how much memory there is."""
TRACING = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
"""OpenTelemetry's standard variables; where one is set, calls are traced."""


class Settings(Struct, frozen=True, kw_only=True):
    """Everything that can be set, and where each value came from."""

    http: HttpSettings = HttpSettings()
    grpc: GrpcSettings = GrpcSettings()
    mcp: McpSettings = McpSettings()
    webrtc: WebRtcSettings = WebRtcSettings()
    models: ModelSettings = ModelSettings()
    pipelines: PipelineSettings = PipelineSettings()
    control: ControlSettings = ControlSettings()
    log: LogSettings = LogSettings()
    account: list[Loaded] = []

    @property
    def data_dir(self) -> Path:
        """Where this server keeps things."""
        named = self.control.data_dir
        return Path(named) if named else user_data_path("sensorium", appauthor=False)

    @property
    def model_dir(self) -> Path:
        """Where models lie."""
        named = self.models.model_cache_path
        return Path(named) if named else self.data_dir / "models"

    @property
    def pipelines_dir(self) -> Path:
        """Where pipelines are declared."""
        named = self.pipelines.pipelines_dir
        return Path(named) if named else self.data_dir / "pipelines"


def load_settings(flags: Mapping[str, Any] | None = None, **sources: Any) -> Settings:
    """The settings from flags, environment and files; see `core.settings.load`."""
    sections: dict[str, type[Struct]] = {
        "http": HttpSettings,
        "grpc": GrpcSettings,
        "mcp": McpSettings,
        "webrtc": WebRtcSettings,
        "models": ModelSettings,
        "pipelines": PipelineSettings,
        "control": ControlSettings,
        "log": LogSettings,
    }
    structs, account = load_sections(sections, flags=flags, **sources)
    return Settings(**structs, account=account)


class App:
    """A wired server: its dispatcher, and the parts that a door or a command needs."""

    def __init__(self, settings: Settings, *, isolated: bool = True) -> None:
        control = settings.control
        self.settings = settings
        self.registry = Registry(MODULES)
        self.telemetry = Telemetry()
        self.keys = KeyStore(settings.data_dir)
        given = [key for key in control.api_keys.reveal().split(",") if key.strip()]
        self.access = Access(
            self.keys if isolated else None,
            [key.strip() for key in given],
            key_needed=not settings.http.local and not control.allow_unauthenticated,
        )
        self.processes = Processes(control, as_environment(settings.log)) if isolated else None
        self.threads = Threads(
            control.threads, control.streams, control.queue, control.max_body_bytes
        )
        self.readiness = Readiness(self.telemetry, self.processes)
        self.dispatcher = Pipeline(
            self.registry,
            control,
            self.telemetry,
            self.access,
            Changes(Audit(settings.data_dir) if isolated else None),
            self.threads,
            self.processes,
        )
        self.webrtc = Sessions(self.dispatcher, settings.webrtc)
        self.shelves = Shelves(settings.model_dir)
        self.puller = Puller(
            Place(
                cache=settings.model_dir,
                endpoint=settings.models.hf_endpoint,
                token=settings.models.hf_token,
                offline=settings.models.offline,
            )
        )
        self.models = _model_pool(settings, self.shelves)
        self.inference = Inference(self.models, settings.models.model_queue)
        devices = Devices(lambda: self.models.used_bytes)
        self.telemetry.readings += _readings(self)
        self.dispatcher.parts = {
            Shelves: self.shelves,
            ModelSettings: settings.models,
            Puller: self.puller,
            Leases: Leases(devices.find, self._make_room, devices.look),
            Pool: self.models,
            Inference: self.inference,
            Pipelines: Pipelines(settings.pipelines_dir),
            Readiness: self.readiness,
            Registry: self.registry,
            Sessions: self.webrtc,
            Rooms: Rooms(),
        }

    async def _make_room(self, device: str, size: int) -> None:
        """Have idle models give up main memory for a lease."""
        if device == MAIN:
            await self.models.give_up(size)

    def new_key(self) -> str | None:
        """The text of a key made now, where one is needed, none exists and one may be made."""
        needs_one = self.access.key_needed and not self.access.has_key
        if not (needs_one and self.settings.control.make_key):
            return None
        try:
            _, text = self.keys.create("made at the first start")
        except OSError:  # a read-only root: the key lives as long as this server
            text = secrets.token_urlsafe(32)
            self.access.give(text)
        return text

    @asynccontextmanager
    async def running(self) -> AsyncIterator["App"]:
        """Have the parts run, and stop them in the reverse order of their floors.

        The workers start with `start_workers`, or with the first call that wants one.
        """
        async with AsyncExitStack() as stack:
            if any(name in os.environ for name in TRACING):
                tracer = self.telemetry.tracer = load(
                    "sensorium.core.tracing:OpenTelemetryTracer"
                )()
                stack.push_async_callback(asyncio.to_thread, tracer.stop)
            stack.callback(self.threads.stop)
            stack.push_async_callback(self.models.close)
            stack.push_async_callback(self.puller.close)
            for keeper in (self.models.sweep(), self.models.preload(self.settings.models.preload)):
                stack.push_async_callback(_end, asyncio.create_task(keeper))
            if self.processes is not None:
                stack.push_async_callback(self.processes.stop)
                for watcher in (self._watch_lag(), self.readiness.probe(self.dispatcher)):
                    task = asyncio.create_task(watcher)
                    stack.push_async_callback(_end, task)
            stack.push_async_callback(self.webrtc.close)
            yield self

    def start_workers(self) -> None:
        """Spawn the worker processes, without waiting for them."""
        if self.processes is not None:
            self.processes.start()

    async def warm(self) -> None:
        """Make every worker load what the operations need, by calling their own examples."""
        self.start_workers()
        await asyncio.to_thread(self.registry.find_plugins)
        for each in self.registry:
            if each.kind is Kind.UNARY and not each.changes and each.example is not None:
                same = self.settings.control.worker_count
                calls = (
                    self.dispatcher.call(each.name, each.example, Caller(door="warm"))
                    for _ in range(same)
                )
                await asyncio.gather(*calls, return_exceptions=True)

    async def _watch_lag(self) -> None:
        """Measure how late the event loop is, ten times a second."""
        while True:
            before = time.perf_counter()
            await asyncio.sleep(LAG_S)
            lag = max(0.0, time.perf_counter() - before - LAG_S)
            self.telemetry.loop_lag_s = lag
            self.telemetry.loop_lag_max_s = max(lag, self.telemetry.loop_lag_max_s)


def _model_pool(settings: Settings, shelves: Shelves) -> Pool:
    def weigh(artifact: Artifact, options: LoadOptions) -> int:
        found: int = load("sensorium.models.weighing:weigh")(artifact, options)
        return found

    def budget() -> int:
        usable: int = load("sensorium.models.hardware.detect:usable_memory")()
        return settings.models.model_memory_bytes or usable * 4 // 5 or UNKNOWN_MEMORY

    pool = Pool(
        shelves.found,
        Placer().place,
        weigh,
        budget=budget,
        keep_alive_s=settings.models.keep_alive_s,
    )
    pool.aliases |= settings.models.aliases
    return pool


def _readings(app: App) -> list[Reading]:
    """What `/metrics` shows of lanes, workers and the event loop."""
    threads, processes, telemetry = app.threads, app.processes, app.telemetry
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
            "sensorium_model_memory_bytes",
            "What each loaded model is reckoned to hold.",
            "gauge",
            lambda: {each.label: each.memory_bytes for each in app.models.loaded},
        ),
        Reading(
            "sensorium_model_runs",
            "Runs of each loaded model.",
            "counter",
            lambda: app.inference.runs(),
        ),
        Reading(
            "sensorium_model_requests",
            "Requests that those runs served, several at once where they were joined.",
            "counter",
            lambda: app.inference.requests(),
        ),
        Reading(
            "sensorium_webrtc_sessions",
            "WebRTC connections.",
            "gauge",
            lambda: {"open": len(app.webrtc)},
        ),
        Reading(
            "sensorium_event_loop_lag_seconds",
            "How late the event loop woke from a sleep.",
            "gauge",
            lambda: {"latest": telemetry.loop_lag_s, "max": telemetry.loop_lag_max_s},
        ),
    ]


async def _end(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
