"""Models in a process of their own, which may crash: it comes back, and with it the model."""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import msgspec

from sensorium.core.asking import Question, Reply
from sensorium.core.errors import (
    ErrorBody,
    InvalidInputError,
    SensoriumError,
    from_body,
)
from sensorium.core.generation import Generation, Piece
from sensorium.models.artifact import Artifact
from sensorium.models.backends.base import LoadOptions
from sensorium.models.exchange import (
    LONG,
    QUESTIONS,
    Action,
    Facts,
    ModelChangedError,
    ProcessDiedError,
    Request,
    Result,
    Task,
)
from sensorium.models.packing import pack_requests, unpack_results
from sensorium.models.placement.stamps import Stamps, are_same, stamps_of
from sensorium.workers.limits import limited
from sensorium.workers.pool import Pool
from sensorium.workers.process import (
    CANCEL_GRACE_S,
    RunningCall,
    Worker,
    WorkerDiedError,
    WorkFailedError,
)

SERVE = "sensorium.models.host:serve"
UNKNOWN = dict.fromkeys(
    ("SENSORIUM_API_KEYS", "SENSORIUM_HF_TOKEN", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"), ""
)
"""What a process that parses strangers' files has no need to know."""
LOADING_BEATS = 600
"""Heartbeats, one a second, that may go unanswered while a model is loaded: llama.cpp keeps
Python's lock for all that time, and a large file on a slow disk takes minutes."""
TOKEN_GRACE_S = 5.0
"""How long a cancelled text may go on: as long as a long prompt's reading, which nothing ends."""
ANSWER_GRACE_S = 600.0
"""How long a cancelled question may go on, which ends by itself: it looks between a few texts, and
one of them may take minutes. To kill the process would end what it makes for everybody else."""
log = logging.getLogger("sensorium.models")
R = TypeVar("R", bound=Reply)


class InProcess:
    """See `placement.base.Placed`. `text` tells that it is a language model."""

    facts: Facts

    def __init__(self, artifact: Artifact, options: LoadOptions, *, text: bool) -> None:
        self._artifact = artifact
        self._options = options
        self._pool = Pool(
            SERVE,
            1,
            options.parallel + 2 * QUESTIONS if text else 1,
            {**UNKNOWN, **limited(options.memory_bytes)},
            on_up=self._came_up,
            cancel_grace_s=TOKEN_GRACE_S if text else CANCEL_GRACE_S,
            shared=not text,
        )
        self._stamps: Stamps = {}
        self._home: Worker | None = None
        """The process that has the model; another takes its place when it dies."""
        self._reload: asyncio.Task[None] | None = None
        self._questions = {long: asyncio.Semaphore(QUESTIONS) for long in (True, False)}
        """Places in the process; one is taken until the question has ended there."""
        self._running: RunningCall | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    @classmethod
    async def load(
        cls, artifact: Artifact, options: LoadOptions, *, text: bool = False
    ) -> "InProcess":
        """Load a model in a new process.

        Raises:
            InvalidInputError: the file is malformed; perhaps so that it killed the process.
            UnavailableError: a library or a provider is missing there, or the files changed.
        """
        placed = cls(artifact, options, text=text)
        placed._pool.start()
        try:
            placed._stamps = await asyncio.to_thread(stamps_of, artifact.path, artifact.projector)
            placed.facts = await placed._load()
        except ProcessDiedError:
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

    def coming_up(self) -> "asyncio.Future[None] | None":
        """See `Placed.coming_up`: all who wait, wait for the same."""
        if self._home is not None and self._pool.workers == [self._home]:
            return None
        if self._reload is None or self._reload.done():
            self._reload = self._start(self._come_back())
            self._reload.add_done_callback(_heard)
        return self._reload

    def run(self, requests: Sequence[Request]) -> "asyncio.Future[list[Result]]":
        """See `Placed.run`."""
        return self._start(self._run(requests))

    def interrupt(self) -> None:
        """See `Placed.interrupt`: the process is killed if it does not stop in time."""
        if self._running is not None:
            self._running.cancel()

    async def generate(self, task: Generation) -> AsyncGenerator[Piece, None]:
        """The pieces of a text; closing it ends the text. Errors as for `ask`."""
        async with self._call("generate") as call:
            await call.write(msgspec.msgpack.encode(task))
            await call.start()
            while (answer := await call.answer()) is not None:
                yield msgspec.msgpack.decode(answer, type=Piece)

    async def ask(self, question: Question, returns: type[R]) -> R:
        """See `Placed.ask`.

        Raises:
            ModelChangedError: the process died, and the files are no longer those it had loaded.
            UnavailableError: the process died.
            SensoriumError: what the model has against it.
        """
        places = self._questions[isinstance(question, LONG)]
        await places.acquire()
        call: RunningCall | None = None
        try:
            async with self._call("ask", ANSWER_GRACE_S) as call:
                answer = await _answered(call, msgspec.msgpack.encode(question))
        finally:
            if call is None:
                places.release()
            else:  # whoever leaves is gone before the question is
                call.done.add_done_callback(lambda _: places.release())
        return msgspec.msgpack.decode(answer, type=returns)

    async def close(self) -> None:
        """See `Placed.close`."""
        for task in self._tasks:
            task.cancel()
        await self._pool.stop()

    async def _load(self) -> Facts:
        """Have the model loaded in the process that is up, or that comes up next.

        Raises:
            ModelChangedError: its files are not what its digest was made of.
            SensoriumError: as for `load`.
        """
        self._pool.busy_beats = LOADING_BEATS
        try:
            await self._check_files()
            async with self._begun("load") as call:
                (worker,) = self._pool.workers
                facts = msgspec.msgpack.decode(await _answered(call, b""), type=Facts)
            await self._check_files()  # which are large, perhaps, and were long in being read
            self._home = worker
            return facts
        finally:
            self._pool.busy_beats = 0

    async def _check_files(self) -> None:
        if not await asyncio.to_thread(are_same, self._stamps):
            raise ModelChangedError

    async def _run(self, requests: Sequence[Request]) -> list[Result]:
        async with self._call("run") as call:
            self._running = call
            try:
                answer = await _answered(call, pack_requests(requests, call.share))
                return unpack_results(answer, call.shared)
            finally:
                self._running = None
                call.forget()

    def _came_up(self) -> None:
        """Have the model loaded in a new process before the next call wants it."""
        if self._home is not None:
            self.coming_up()

    async def _come_back(self) -> None:
        try:
            await self._load()
            log.info("%s is loaded again", self._artifact.name)
        except SensoriumError as error:
            log.warning("%s could not be loaded again: %s", self._artifact.name, error.message)
            raise

    @asynccontextmanager
    async def _call(
        self, action: Action, grace_s: float | None = None
    ) -> AsyncIterator[RunningCall]:
        """One call to the process, once the model is loaded there; errors as for `ask`.

        To wait for that in the process would cost the loading, where the caller leaves meanwhile.
        """
        while (coming := self.coming_up()) is not None:
            await asyncio.wait([coming])
            if coming.cancelled():  # the model is closed
                raise ProcessDiedError
            coming.result()
        async with self._begun(action, grace_s) as call:
            yield call

    @asynccontextmanager
    async def _begun(
        self, action: Action, grace_s: float | None = None
    ) -> AsyncIterator[RunningCall]:
        task = Task(action=action, artifact=self._artifact, options=self._options)
        try:
            call = await self._pool.call(msgspec.json.encode(task, enc_hook=str))
        except WorkerDiedError:
            raise ProcessDiedError from None
        try:
            yield call
        except WorkFailedError as error:
            raise from_body(msgspec.json.decode(error.args[0], type=ErrorBody)) from None
        except WorkerDiedError:
            raise ProcessDiedError from None
        finally:
            call.cancel(grace_s)

    def _start(self, work: Any) -> "asyncio.Task[Any]":
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


async def _answered(call: RunningCall, body: bytes) -> bytes:
    """The one answer to a call."""
    await call.write(body)
    await call.start()
    answer = await call.answer()
    assert answer is not None
    await call.done
    return answer


def _heard(task: "asyncio.Task[None]") -> None:
    """Take note of a failure, for which perhaps nobody waits: it is in the log."""
    if not task.cancelled():
        task.exception()
