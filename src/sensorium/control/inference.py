"""Inference: a model by name, its turn at the compute, and what came of it on the record."""

import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import TypeVar
from weakref import WeakKeyDictionary

from msgspec.structs import replace

from sensorium.control.admission import Lane
from sensorium.control.texts import TextCounts
from sensorium.control.turns import Compute, Turns
from sensorium.core.asking import Question, Reply
from sensorium.core.dispatch import Priority
from sensorium.core.errors import (
    CancelledCallError,
    InvalidInputError,
    NotSupportedError,
    OverloadedError,
    SensoriumError,
)
from sensorium.core.generation import Generation, Piece
from sensorium.core.operation import Inferred
from sensorium.core.tensors import Tensor
from sensorium.models.artifact import Artifact
from sensorium.models.checking import check_inputs, chosen_outputs
from sensorium.models.exchange import LONG, ModelChangedError, ProcessDiedError, Request
from sensorium.models.hardware.cores import usable_cores
from sensorium.models.loaded import Loaded
from sensorium.models.placement.base import Placed
from sensorium.models.pool import Pool

R = TypeVar("R", bound=Reply)
S = TypeVar("S", bound=Piece | Reply)
NOT_ITS_FAULT = (InvalidInputError, NotSupportedError, CancelledCallError, OverloadedError)
"""Errors that say nothing of how a model is."""


class Inference:
    """Runs tensors and texts through the models of a pool.

    At most `queue_limit` calls of a kind wait for one model: of those for tensors, for texts, for
    what it computes of texts (vectors, scores), and for what it only looks up (tokens).
    """

    def __init__(self, pool: Pool, queue_limit: int) -> None:
        self._pool = pool
        self._queue_limit = queue_limit
        self._compute = Compute(usable_cores())
        self._turns: WeakKeyDictionary[Loaded, Turns] = WeakKeyDictionary()
        self._lanes: WeakKeyDictionary[Loaded, dict[str, Lane]] = WeakKeyDictionary()
        self.texts = TextCounts()

    def runs(self) -> dict[str, float]:
        """How often each loaded model has run."""
        return {each.label: turns.runs for each, turns in self._turns.items()}

    def requests(self) -> dict[str, float]:
        """How many requests those runs served."""
        return {each.label: turns.requests for each, turns in self._turns.items()}

    async def infer(
        self,
        model: str,
        inputs: Sequence[Tensor],
        *,
        outputs: Sequence[str] = (),
        version: str = "",
        priority: Priority = Priority.INTERACTIVE,
    ) -> Inferred:
        """See `core.operation.Context.infer`."""
        async with self._pool.use(model, version) as loaded:
            spec = loaded.placed.facts.spec
            check_inputs(spec.inputs, inputs, spec.optional)
            request = Request(list(inputs), chosen_outputs(spec.outputs, outputs))
            with _OnRecord(loaded, self._pool.retire):
                found = await self._turns_of(loaded).infer(request, priority)
            artifact = loaded.artifact
            return Inferred(artifact.name, artifact.version, artifact.digest, found)

    async def generate(
        self,
        model: str,
        task: Generation,
        *,
        version: str = "",
        priority: Priority = Priority.INTERACTIVE,
    ) -> AsyncGenerator[Piece, None]:
        """The pieces of a text as they come, the last with its `finish`; closing it ends the text.

        Raises:
            NotFoundError: there is no such model.
            NotSupportedError: it makes no text.
            OverloadedError: too many texts wait for it.
            SensoriumError: what it has against the task, or why it cannot run.
        """
        asked = time.perf_counter()
        async with (
            self._text_model(model, version, priority) as loaded,
            aclosing(_begun_again(loaded.placed, task)) as pieces,
        ):
            first = True
            async for piece in pieces:
                if first:
                    self.texts.began(loaded.artifact.name, time.perf_counter() - asked)
                    first = False
                if piece.finish:
                    self.texts.ended(loaded.artifact.name, piece)
                    piece = _signed(piece, loaded.artifact)
                yield piece

    async def ask(
        self,
        model: str,
        question: Question,
        returns: type[R],
        *,
        version: str = "",
        priority: Priority = Priority.INTERACTIVE,
    ) -> R:
        """See `core.operation.Context.ask`. It waits for no text that is being made.

        Raises:
            OverloadedError: too many such questions wait for the model.
        """
        async with self._pool.use(model, version) as loaded:
            kind = "vectors" if isinstance(question, LONG) else "tokens"
            async with self._slot(loaded, kind, loaded.placed.facts.questions, priority):
                found = await loaded.placed.ask(question, returns)
            return _signed(found, loaded.artifact)

    @asynccontextmanager
    async def _text_model(
        self, model: str, version: str, priority: Priority
    ) -> AsyncIterator[Loaded]:
        async with self._pool.use(model, version) as loaded:
            parallel = loaded.placed.facts.parallel
            if not parallel:
                raise NotSupportedError(f"the model {loaded.artifact.name} makes no text")
            async with self._slot(loaded, "text", parallel, priority):
                yield loaded

    @asynccontextmanager
    async def _slot(
        self, loaded: Loaded, kind: str, capacity: int, priority: Priority
    ) -> AsyncIterator[None]:
        """A turn for a call of this kind; how it ends is put on record."""
        lanes = self._lanes.setdefault(loaded, {})
        lane = lanes.get(kind)
        if lane is None:
            lane = lanes[kind] = Lane(kind, capacity, self._queue_limit)
        await lane.enter(loaded.artifact.name, self._queue_limit, priority)
        try:
            with _OnRecord(loaded, self._pool.retire):
                yield
        finally:
            lane.leave()

    def _turns_of(self, loaded: Loaded) -> Turns:
        found = self._turns.get(loaded)
        if found is None:
            compute = self._compute if loaded.on_cpu else Compute(1)
            found = Turns(loaded.placed, loaded.options, compute, self._queue_limit)
            self._turns[loaded] = found
        return found


async def _begun_again(placed: Placed, task: Generation) -> AsyncGenerator[Piece, None]:
    """The pieces of a text; where the process died before the first, it is begun again, once."""
    begun = False
    for attempts_left in (1, 0):
        try:
            async with aclosing(placed.generate(task)) as pieces:
                async for piece in pieces:
                    begun = True
                    yield piece
            return
        except ProcessDiedError:
            if begun or not attempts_left:
                raise


def _signed(told: S, artifact: Artifact) -> S:
    """A last piece, or a reply, that tells whose it is."""
    return replace(told, model=artifact.name, version=artifact.version, digest=artifact.digest)


class _OnRecord:
    """Note what real inference shows of a model. A plain class: it is entered for every call."""

    __slots__ = ("_loaded", "_retire")

    def __init__(self, loaded: Loaded, retire: Callable[[Loaded], None]) -> None:
        self._loaded = loaded
        self._retire = retire

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        if kind is None:
            self._loaded.succeeded_at = time.time()
        elif issubclass(kind, SensoriumError) and not issubclass(kind, NOT_ITS_FAULT):
            self._loaded.failed_at = time.time()
            if issubclass(kind, ModelChangedError) and not self._loaded.retired:
                self._retire(self._loaded)
