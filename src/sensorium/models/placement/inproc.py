"""Models in this process: each has a thread of its own, on which it is loaded, run and closed.

Runs that are known to be over at once spare themselves the thread (`placement.pace`).
"""

import asyncio
import logging
import threading
from collections.abc import AsyncGenerator, Callable, Sequence
from functools import partial
from queue import SimpleQueue
from typing import Any, Protocol, TypeVar

from sensorium.core.asking import Question, Reply
from sensorium.core.errors import NotSupportedError, SensoriumError
from sensorium.core.generation import Generation, Piece
from sensorium.core.loading import load
from sensorium.models.artifact import Artifact
from sensorium.models.backends.base import LoadedModel, LoadOptions
from sensorium.models.exchange import Facts, Request, Result

log = logging.getLogger("sensorium.models")
T = TypeVar("T")
R = TypeVar("R", bound=Reply)


class Pace(Protocol):
    """See `placement.pace.Pace`, which loads numpy."""

    def is_quick(self, requests: Sequence[Request]) -> bool:
        """See `placement.pace.Pace.is_quick`."""

    def run(self, requests: Sequence[Request]) -> list[Result]:
        """See `placement.pace.Pace.run`."""


class Inproc:
    """See `placement.base.Placed`."""

    facts: Facts

    def __init__(self, name: str) -> None:
        self._loop = asyncio.get_running_loop()
        self._work: SimpleQueue[tuple[asyncio.Future[Any], Callable[[], Any]] | None]
        self._work = SimpleQueue()
        self._model: LoadedModel | None = None
        self._pace: Pace | None = None
        threading.Thread(target=self._serve, name=f"model {name}", daemon=True).start()

    @classmethod
    async def load(cls, artifact: Artifact, options: LoadOptions) -> "Inproc":
        """Load a model on a thread of its own; errors as for `load_model`."""
        placed = cls(artifact.name)
        try:
            loaded = placed._later(partial(_load_model, artifact, options))
            placed._model, placed._pace, placed.facts = await asyncio.shield(loaded)
        except BaseException:
            placed._work.put(None)
            raise
        return placed

    def coming_up(self) -> "asyncio.Future[None] | None":
        """See `Placed.coming_up`."""
        return None

    def run(self, requests: Sequence[Request]) -> "asyncio.Future[list[Result]]":
        """See `Placed.run`."""
        pace = self._pace
        assert pace is not None
        if not pace.is_quick(requests):
            return self._later(partial(pace.run, requests))
        done: asyncio.Future[list[Result]] = self._loop.create_future()
        done.set_result(pace.run(requests))
        return done

    def interrupt(self) -> None:
        """See `Placed.interrupt`."""
        if self._model is not None:
            self._model.interrupt()

    def generate(self, task: Generation) -> AsyncGenerator[Piece, None]:
        """See `Placed.generate`: language models run in processes of their own."""
        raise _no_text()

    async def ask(self, question: Question, returns: type[R]) -> R:
        """See `Placed.ask`."""
        raise _no_text()

    async def close(self) -> None:
        """See `Placed.close`."""
        if self._model is not None:
            model, self._model, self._pace = self._model, None, None
            await self._later(model.close)
            self._work.put(None)

    def _later(self, work: Callable[[], T]) -> "asyncio.Future[T]":
        """Have the thread do something."""
        future: asyncio.Future[T] = self._loop.create_future()
        self._work.put((future, work))
        return future

    def _serve(self) -> None:
        while (taken := self._work.get()) is not None:
            future, work = taken
            try:
                done, value = future.set_result, work()
            except Exception as error:
                known = isinstance(error, SensoriumError)
                if not known:
                    log.exception("a model failed")
                done, value = future.set_exception, error if known else SensoriumError()
            self._loop.call_soon_threadsafe(_unless_done, future, done, value)


def _no_text() -> NotSupportedError:
    return NotSupportedError("this model takes tensors and makes no text")


def _load_model(artifact: Artifact, options: LoadOptions) -> tuple[LoadedModel, Pace, Facts]:
    model: LoadedModel
    facts: Facts
    model, facts = load("sensorium.models.loading:load_model")(artifact, options)
    if facts.parallel:
        model.close()
        raise NotSupportedError("a language model runs in a process of its own")
    pace: Pace = load("sensorium.models.placement.pace:Pace")(model, steady=facts.steady)
    return model, pace, facts


def _unless_done(future: "asyncio.Future[Any]", done: Callable[[Any], None], value: Any) -> None:
    if not future.done():
        done(value)
