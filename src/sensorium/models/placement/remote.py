"""Language models that others serve, asked on the server's own event loop."""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from sensorium.core.asking import Embed, Question, Rank, Reply, See, Sight
from sensorium.core.errors import NotSupportedError
from sensorium.core.generation import Generation
from sensorium.core.loading import load
from sensorium.models.artifact import Artifact
from sensorium.models.backends.base import LoadOptions
from sensorium.models.backends.remote_dialect import Dialect
from sensorium.models.backends.remote_settings import RemoteSettings, own_settings
from sensorium.models.backends.remote_text import RemoteTexts
from sensorium.models.exchange import Facts, Request, Result

R = TypeVar("R", bound=Reply)
Told = Callable[[Dialect, bytes, Embed | Rank], Reply]
TRIAL = Generation(prompt="a", max_tokens=1, temperature=0.0)


class Remote:
    """See `placement.base.Placed`."""

    def __init__(self, texts: RemoteTexts, facts: Facts, *, embeds: bool) -> None:
        self.facts = facts
        self._embeds = embeds
        self.generate = texts.generate
        self._texts = texts

    def coming_up(self) -> "asyncio.Future[None] | None":
        """See `Placed.coming_up`."""
        return None

    def run(self, requests: Sequence[Request]) -> "asyncio.Future[list[Result]]":
        """See `Placed.run`: it takes no tensors."""
        future: asyncio.Future[list[Result]] = asyncio.get_running_loop().create_future()
        future.set_result([NotSupportedError("this model makes text") for _ in requests])
        return future

    def interrupt(self) -> None:
        """See `Placed.interrupt`; there are no runs."""

    async def ask(self, question: Question, returns: type[R]) -> R:
        """See `Placed.ask`: by its vectors, or not at all.

        Whether it takes pictures is not known before it is sent some.
        """
        if isinstance(question, See):
            sight = Sight(images=not self._embeds)
            assert isinstance(sight, returns)
            return sight
        if not isinstance(question, Embed | Rank):
            raise NotSupportedError("a remote model does not tell its tokens")
        body, dialect = await self._texts.ask_vectors(_texts(question))
        found = await asyncio.to_thread(_told, dialect, body, question)
        assert isinstance(found, returns)
        return found

    async def close(self) -> None:
        """See `Placed.close`."""
        self._texts.close()


async def place(artifact: Artifact, options: LoadOptions) -> Remote | None:
    """A model that others serve, tried; None where it is one of tensors, which runs elsewhere.

    Raises:
        InvalidInputError: its settings cannot be used.
        UnavailableError: a key is missing, or no server answers.
    """
    began = time.perf_counter()
    made = await asyncio.to_thread(_made, artifact, options)
    if made is None:
        return None
    settings, texts = made
    embeds = settings.task == "embed"
    try:
        await _try(texts, embeds=embeds)
    except BaseException:
        texts.close()
        raise
    facts = Facts(
        spec=texts.spec,
        joins=False,
        parallel=settings.parallel,
        questions=settings.parallel,
        seconds=time.perf_counter() - began,
    )
    return Remote(texts, facts, embeds=embeds)


def _made(artifact: Artifact, options: LoadOptions) -> tuple[RemoteSettings, RemoteTexts] | None:
    """Off the event loop, as certificates are read, too."""
    settings = own_settings(artifact)
    if settings.upstreams[0].protocol == "oip":
        return None
    return settings, RemoteTexts(settings, options)


async def _try(texts: RemoteTexts, *, embeds: bool) -> None:
    if embeds:
        await texts.ask_vectors(["a"])
    else:
        async for _ in texts.generate(TRIAL):
            pass


def _told(dialect: Dialect, body: bytes, question: Embed | Rank) -> Reply:
    told: Told = load("sensorium.models.placement.remote_vectors:told")
    return told(dialect, body, question)


def _texts(question: Embed | Rank) -> list[str]:
    """What is to be embedded for an answer."""
    if isinstance(question, Embed):
        return question.texts
    return [question.query, *question.documents]
