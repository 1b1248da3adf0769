"""Models are quantised in a process of their own, which takes the processor and the memory."""

from collections.abc import AsyncGenerator
from pathlib import Path

import msgspec

from sensorium.core.errors import (
    ErrorBody,
    InvalidInputError,
    NotSupportedError,
    UnavailableError,
    from_body,
)
from sensorium.models.artifact import Artifact, folder_name
from sensorium.models.quantising.progress import Precision, QuantizeProgress, Task
from sensorium.workers.pool import Pool
from sensorium.workers.process import WorkerDiedError, WorkFailedError

SERVE = "sensorium.models.quantising.host:serve"
STOP_S = 5.0
"""How long a cancelled one may take to clear up."""


class Quantiser:
    """Makes GGUF files in a folder of models, one at a time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pool = Pool(SERVE, 1, cancel_grace_s=STOP_S)

    async def quantise(
        self, artifact: Artifact, precision: Precision, name: str
    ) -> AsyncGenerator[QuantizeProgress, None]:
        """How far it is; the last item has the outcome. Closing it ends the work.

        Args:
            artifact: What it is made of.
            precision: How many bits it is to have.
            name: What it is to be called; empty: as what it is made of, with the precision.

        Raises:
            SensoriumError: see `quantise.quantise`.
        """
        task = self._task(artifact, precision, name)
        self._pool.start()
        call = await self._pool.call(msgspec.json.encode(task))
        try:
            await call.start()
            while (answer := await call.answer()) is not None:
                yield msgspec.msgpack.decode(answer, type=QuantizeProgress)
        except WorkFailedError as error:
            raise from_body(msgspec.json.decode(error.args[0], type=ErrorBody)) from None
        except WorkerDiedError:
            raise UnavailableError(
                "the process that quantised the model died: perhaps memory ran out"
            ) from None
        finally:
            call.cancel()

    async def close(self) -> None:
        """End what is being made."""
        await self._pool.stop()

    def _task(self, artifact: Artifact, precision: Precision, name: str) -> Task:
        if artifact.format != "transformers":
            raise NotSupportedError(
                f"{artifact.name} is {artifact.format}: a GGUF is made of a folder of transformers"
            )
        own = f"{artifact.name.replace(':', '-')}-{precision.lower()}"
        try:
            folder = folder_name(name or own)
        except ValueError as error:
            raise InvalidInputError(str(error)) from None
        return Task(
            root=str(self._folder),
            model=artifact.name,
            source=str(artifact.path),
            digest=artifact.digest,
            licence=artifact.licence,
            task=artifact.task,
            precision=precision,
            folder=folder,
        )
