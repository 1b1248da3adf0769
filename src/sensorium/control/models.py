"""The model runtime of a server: what finds, fetches, loads and runs models, and leases memory."""

import asyncio
import logging
from pathlib import Path

from sensorium.control.devices import MAIN, Devices
from sensorium.control.inference import Inference
from sensorium.control.leases import Leases
from sensorium.control.readiness import ModelState
from sensorium.core.errors import SensoriumError
from sensorium.core.loading import load
from sensorium.core.telemetry import Reading
from sensorium.models.artifact import Artifact
from sensorium.models.backends.base import LoadOptions
from sensorium.models.catalogue.shelves import Shelves
from sensorium.models.hub.place import Place
from sensorium.models.hub.puller import Puller
from sensorium.models.placing import Placer
from sensorium.models.pool import Pool
from sensorium.models.quantising.quantiser import Quantiser
from sensorium.models.settings import ModelSettings

log = logging.getLogger("sensorium.models")
FOR_EVER = -1.0
UNKNOWN_MEMORY = 4 << 30
"""What models may hold where nothing tells how much memory there is."""


class ModelRuntime:
    """The parts that models need. A server makes it with the first call that wants one of them."""

    def __init__(self, settings: ModelSettings, folder: Path) -> None:
        self._settings = settings
        self.shelves = Shelves(folder)
        self.puller = Puller(
            Place(
                cache=folder,
                endpoint=settings.hf_endpoint,
                token=settings.hf_token,
                offline=settings.offline,
            )
        )
        self.quantiser = Quantiser(folder)
        self.pool = Pool(
            self.shelves.found,
            Placer().place,
            _weigh,
            budget=self._budget,
            keep_alive_s=settings.keep_alive_s,
        )
        self.pool.aliases |= settings.aliases
        self.inference = Inference(self.pool, settings.model_queue)
        devices = Devices(lambda: self.pool.room.used_bytes)
        self.leases = Leases(devices.find, self._make_room, devices.look)

    def states(self) -> dict[str, ModelState]:
        """How each loaded model is."""
        return {each.artifact.name: each.state for each in self.pool.loaded}

    def readings(self) -> list[Reading]:
        """What `/metrics` shows of the loaded models."""
        return [
            Reading(
                "sensorium_model_memory_bytes",
                "What each loaded model is reckoned to hold.",
                "gauge",
                lambda: {each.label: each.memory_bytes for each in self.pool.loaded},
            ),
            Reading(
                "sensorium_model_runs",
                "Runs of each loaded model.",
                "counter",
                self.inference.runs,
            ),
            Reading(
                "sensorium_model_requests",
                "Requests that those runs served, several at once where they were joined.",
                "counter",
                self.inference.requests,
            ),
            *self.inference.texts.readings(),
        ]

    async def preload(self) -> None:
        """Load models to stay; one that cannot be loaded is logged, and the others are."""
        for name in self._settings.preload:
            try:
                await self.pool.load(name, keep_alive_s=FOR_EVER)
            except SensoriumError as error:
                log.error("%s cannot be loaded: %s", name, error.message)

    async def close(self) -> None:
        """Break off what is fetched and quantised, and unload everything."""
        await asyncio.gather(self.puller.close(), self.quantiser.close(), self.pool.close())

    async def _make_room(self, device: str, size: int, least: int) -> None:
        """Have idle models give up main memory for a lease, unless they have less than `least`."""
        if device == MAIN and self.pool.room.idle_bytes >= least:
            await self.pool.room.give_up(size)

    def _budget(self) -> int:
        usable: int = load("sensorium.models.hardware.detect:usable_memory")()
        return self._settings.model_memory_bytes or usable * 4 // 5 or UNKNOWN_MEMORY


def _weigh(artifact: Artifact, options: LoadOptions) -> int:
    found: int = load("sensorium.models.weighing:weigh")(artifact, options)
    return found
