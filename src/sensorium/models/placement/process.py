"""Models in a process of their own, which may crash: it comes back, and with it the model."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from sensorium.core.errors import ErrorBody, InvalidInputError, UnavailableError, from_body
from sensorium.models.artifact import Artifact
from sensorium.models.backends.base import LoadOptions
from sensorium.models.exchange import Facts, Outcome, Request, Result, Task
from sensorium.workers.pool import Pool
from sensorium.workers.process import RunningCall, WorkerDiedError, WorkFailedError

SERVE = "sensorium.models.host:serve"
log = logging.getLogger("sensorium.models")


class InProcess:
    """See `placement.base.Placed`."""

    facts: Facts

    def __init__(self, artifact: Artifact, options: LoadOptions) -> None:
        self._artifact = artifact
        self._options = options
        self._pool = Pool(SERVE, 1, on_up=self._came_up)
        self._loaded_once = False
        self._running: RunningCall | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    @classmethod
    async def load(cls, artifact: Artifact, options: LoadOptions) -> "InProcess":
        """Load a model in a new process.

        Raises:
            InvalidInputError: the file is malformed; perhaps so that it killed the process.
            UnavailableError: a library or a provider is missing there.
        """
        placed = cls(artifact, options)
        placed._pool.start()
        try:
            placed.facts = await placed._load()
            placed._loaded_once = True
        except WorkerDiedError:
            await placed._pool.stop()
            raise InvalidInputError(
                "the process that loaded the model died of it: the file is damaged or malicious, "
                "or needs more memory than there is"
            ) from None
        except BaseException:
            await placed._pool.stop()
            raise
        return placed

    @property
    def pid(self) -> int | None:
        """The process's id, while it is up."""
        workers = self._pool.workers
        return workers[0].pid if workers else None

    def run(self, requests: Sequence[Request]) -> "asyncio.Future[list[Result]]":
        """See `Placed.run`."""
        return self._start(self._run(requests))

    def interrupt(self) -> None:
        """See `Placed.interrupt`: the process is killed if it does not stop in time."""
        if self._running is not None:
            self._running.cancel()

    async def close(self) -> None:
        """See `Placed.close`."""
        for task in self._tasks:
            task.cancel()
        await self._pool.stop()

    async def _load(self) -> Facts:
        answer = await self._call("load", b"")
        return msgspec.msgpack.decode(answer, type=Facts)

    async def _run(self, requests: Sequence[Request]) -> list[Result]:
        try:
            answer = await self._call("run", msgspec.msgpack.encode(requests))
        except WorkerDiedError:
            raise UnavailableError(
                "the process that ran the model died and is being replaced; try again",
                retry_after_s=1.0,
            ) from None
        outcomes = msgspec.msgpack.decode(answer, type=list[Outcome])
        return [each.tensors if each.error is None else from_body(each.error) for each in outcomes]

    def _came_up(self) -> None:
        """Have the model loaded in a new process before the next call wants it."""
        if self._loaded_once:
            self._start(self._come_back())

    async def _come_back(self) -> None:
        try:
            await self._load()
            log.info("%s is loaded again", self._artifact.name)
        except (WorkerDiedError, UnavailableError, InvalidInputError):
            log.exception("%s could not be loaded again", self._artifact.name)

    async def _call(self, action: Literal["load", "run"], body: bytes) -> bytes:
        """One call to the process.

        Raises:
            WorkerDiedError: it died of it.
            SensoriumError: what it answered.
        """
        task = Task(action=action, artifact=self._artifact, options=self._options)
        call = await self._pool.call(msgspec.json.encode(task, enc_hook=str))
        self._running = call
        try:
            if body:
                await call.write(body)
            await call.start()
            answer = await call.answer()
            assert answer is not None
            await call.done
            return answer
        except WorkFailedError as error:
            raise from_body(msgspec.json.decode(error.args[0], type=ErrorBody)) from None
        finally:
            self._running = None

    def _start(self, work: Any) -> "asyncio.Task[Any]":
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
