"""Pulls in a process of their own, so that neither hashing nor a full line holds up the server."""

from collections.abc import AsyncGenerator
from dataclasses import replace

import msgspec

from sensorium.core.errors import ErrorBody, UnavailableError, from_body
from sensorium.models.hub.place import Place
from sensorium.models.hub.progress import PullProgress
from sensorium.models.hub.task import Task, written
from sensorium.workers.pool import Pool
from sensorium.workers.process import WorkerDiedError, WorkFailedError

SERVE = "sensorium.models.hub.host:serve"
AT_ONCE = 32
STOP_S = 5.0
"""How long a cancelled pull may take to put down what it has."""


class Puller:
    """Fetches models into `place`; its process comes with the first pull."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._pool = Pool(SERVE, 1, AT_ONCE, cancel_grace_s=STOP_S)

    async def pull(
        self, reference: str, sha256: str, *, local_files: bool
    ) -> AsyncGenerator[PullProgress, None]:
        """How far a pull is; the last item has the outcome. Closing it ends the pull.

        Raises:
            SensoriumError: see `hub.pull.pull`.
        """
        place = replace(self.place, local_files=local_files)
        task = Task(reference=reference, sha256=sha256, place=place)
        self._pool.start()
        call = await self._pool.call(msgspec.json.encode(task, enc_hook=written))
        try:
            await call.start()
            while (answer := await call.answer()) is not None:
                yield msgspec.msgpack.decode(answer, type=PullProgress)
        except WorkFailedError as error:
            raise from_body(msgspec.json.decode(error.args[0], type=ErrorBody)) from None
        except WorkerDiedError:
            raise UnavailableError(
                "the process that fetched the model died; pull again to go on", retry_after_s=1.0
            ) from None
        finally:
            call.cancel()

    async def close(self) -> None:
        """End all pulls; each goes on with what it has when it is asked for again."""
        await self._pool.stop()
