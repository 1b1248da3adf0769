"""The composition root: settings in, a wired server out. Only here is known who implements what."""

import asyncio
import os
import secrets
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from platformdirs import user_data_path

from sensorium.capabilities.pipelines.settings import PipelineSettings
from sensorium.control.access import Access
from sensorium.control.audit import Audit
from sensorium.control.changes import Changes
from sensorium.control.context import INFERENCE
from sensorium.control.keys import KeyStore
from sensorium.control.parts import Parts
from sensorium.control.pipeline import Pipeline
from sensorium.control.processes import Processes
from sensorium.control.readiness import Readiness
from sensorium.control.readings import readings
from sensorium.control.settings import ControlSettings
from sensorium.control.spending import Spending
from sensorium.control.threads import Threads
from sensorium.core.dispatch import Caller
from sensorium.core.loading import load
from sensorium.core.operation import Kind
from sensorium.core.registry import Registry
from sensorium.core.settings import Loaded
from sensorium.core.settings import load as load_sections
from sensorium.core.telemetry import LogSettings, Reading, Telemetry, as_environment
from sensorium.models.settings import ModelSettings
from sensorium.transports.grpc.settings import GrpcSettings
from sensorium.transports.http.settings import HttpSettings
from sensorium.transports.mcp.settings import McpSettings
from sensorium.transports.webrtc.rooms import Rooms
from sensorium.transports.webrtc.sessions import Sessions
from sensorium.transports.webrtc.settings import WebRtcSettings

if TYPE_CHECKING:
    from sensorium.control.models import ModelRuntime

MODULES = {
    "system": "sensorium.control.system",
    "logs": "sensorium.capabilities.logs.operations",
    "metrics": "sensorium.capabilities.metrics.operations",
    "chat": "sensorium.capabilities.language.chat",
    "text": "sensorium.capabilities.language.text",
    "vision": "sensorium.capabilities.language.vision",
    "models": "sensorium.capabilities.models.operations",
    "pipelines": "sensorium.capabilities.pipelines.operations",
    "resources": "sensorium.control.resources",
    "webrtc": "sensorium.transports.webrtc.operations",
}
"""Which module declares the operations of a noun; each is imported when first asked for."""
PIPELINES = "sensorium.capabilities.pipelines.library:Pipelines"
FETCHER = "sensorium.models.pictures.fetching:Fetcher"
LIBRARIES = {"http": "uvicorn", "grpc": "grpc", "webrtc": "aiortc", "mcp": "mcp"}
"""The doors that need a library, and which."""
LAG_S = 0.1
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
        self.dispatcher.parts = Parts(
            {
                ModelSettings: settings.models,
                Readiness: self.readiness,
                Registry: self.registry,
                Sessions: self.webrtc,
                Rooms: Rooms(),
                Spending: Spending(),
            },
            {
                "sensorium.models.catalogue.shelves:Shelves": lambda: self.model_runtime.shelves,
                "sensorium.models.hub.puller:Puller": lambda: self.model_runtime.puller,
                "sensorium.models.quantising.quantiser:Quantiser": (
                    lambda: self.model_runtime.quantiser
                ),
                "sensorium.models.pool:Pool": lambda: self.model_runtime.pool,
                INFERENCE: lambda: self.model_runtime.inference,
                "sensorium.control.leases:Leases": lambda: self.model_runtime.leases,
                FETCHER: lambda: load(FETCHER)(settings.models.fetch_images_from),
                PIPELINES: lambda: load(PIPELINES)(settings.pipelines_dir),
            },
        )
        self.telemetry.readings += [
            *readings(self.threads, self.processes, self.telemetry),
            Reading(
                "sensorium_webrtc_sessions",
                "WebRTC connections.",
                "gauge",
                lambda: {"open": len(self.webrtc)},
            ),
        ]

    @cached_property
    def model_runtime(self) -> "ModelRuntime":
        """What finds, loads and runs models; loaded when it is first asked for."""
        runtime: ModelRuntime = load("sensorium.control.models:ModelRuntime")(
            self.settings.models, self.settings.model_dir
        )
        self.telemetry.readings += runtime.readings()
        self.readiness.models = runtime.states
        return runtime

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
            stack.push_async_callback(self._close_models)
            if self.settings.models.preload:
                preloading = asyncio.create_task(self.model_runtime.preload())
                stack.push_async_callback(_end, preloading)
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

    async def _close_models(self) -> None:
        if "model_runtime" in vars(self):
            await self.model_runtime.close()

    async def _watch_lag(self) -> None:
        """Measure how late the event loop is, ten times a second."""
        while True:
            before = time.perf_counter()
            await asyncio.sleep(LAG_S)
            lag = max(0.0, time.perf_counter() - before - LAG_S)
            self.telemetry.loop_lag_s = lag
            self.telemetry.loop_lag_max_s = max(lag, self.telemetry.loop_lag_max_s)


async def _end(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
