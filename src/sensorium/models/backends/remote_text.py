"""Language models that others serve, asked on an event loop."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

import msgspec

from sensorium.core.errors import (
    InvalidInputError,
    NotSupportedError,
    SensoriumError,
    UnavailableError,
)
from sensorium.core.generation import Generation, Piece
from sensorium.models.backends.base import LoadOptions, ModelSpec
from sensorium.models.backends.remote_dialect import Dialect
from sensorium.models.backends.remote_ollama import Ollama
from sensorium.models.backends.remote_openai import OpenAI
from sensorium.models.backends.remote_settings import RemoteSettings, Upstream
from sensorium.models.backends.remote_told import NOTHING, Told
from sensorium.models.backends.remote_upstreams import (
    ITS_FAULT,
    Source,
    Sources,
    cut_off,
    none_left,
)
from sensorium.models.backends.remote_wire import Wire

LARGE = 1 << 20
"""Bytes of images that are not spelled on the event loop."""


@dataclass(frozen=True)
class Asking:
    """How one server is asked."""

    wire: Wire
    dialect: Dialect


class RemoteTexts:
    """Texts and embeddings of a model that one or several servers have.

    Where a server fails before anything of a text has come, the next is asked; later the text
    ends with an error that says how far it came.
    """

    def __init__(self, settings: RemoteSettings, options: LoadOptions) -> None:
        first = settings.upstreams[0]
        self.spec = ModelSpec(
            platform=f"remote_{first.protocol}", inputs=[], outputs=[], providers=["remote"]
        )
        self._embeds = settings.task == "embed"
        self._deadline_s = settings.deadline_s
        self._sources = Sources(
            [
                Source(each.host, Asking(Wire(each), _dialect(each, options)))
                for each in settings.upstreams
            ]
        )

    async def generate(self, task: Generation) -> AsyncGenerator[Piece, None]:
        """The pieces of a text, the last with its `finish`; closing it ends the text.

        Raises:
            InvalidInputError: a server refuses the task.
            DeadlineExceededError: it takes longer than it may in all.
            NotSupportedError: no server's protocol can ask for it.
            OverloadedError, UnavailableError: no server answers; or the text breaks off.
        """
        if self._embeds:
            raise NotSupportedError("this model makes embeddings, and no text")
        until = asyncio.get_running_loop().time() + self._deadline_s
        failures: list[SensoriumError] = []
        for source in self._sources.in_turn():
            told = Told(source.asks.dialect, source.asks.wire.scrubbed)
            try:
                async with aclosing(self._tell(source, task, told, until)) as pieces:
                    async for piece in pieces:
                        yield piece
                return
            except NotSupportedError as error:
                failures.append(error)
            except ITS_FAULT as error:
                source.failed(error)
                if told.pieces:
                    raise cut_off(error, told.pieces) from None
                failures.append(error)
        raise none_left(failures)

    async def ask_vectors(self, texts: Sequence[str]) -> tuple[bytes, Dialect]:
        """A server's answer to what is to be embedded, and the dialect that reads it.

        Raises:
            SensoriumError: as for `generate`.
        """
        if not texts:
            raise InvalidInputError("there is no text to embed")

        async def ask(asking: Asking, until: float) -> tuple[bytes, Dialect]:
            path, body = asking.dialect.embedding(texts)
            content = msgspec.json.encode(body)
            answer = await asking.wire.ask("POST", path, content, until=until)
            return answer.body, asking.dialect

        return await self._sources.first(ask, self._deadline_s)

    def close(self) -> None:
        """Close all connections; a second time does nothing."""
        for each in self._sources:
            each.asks.wire.close()

    async def _tell(
        self, source: Source[Asking], task: Generation, told: Told, until: float
    ) -> AsyncGenerator[Piece, None]:
        """The text of one server."""
        wire, dialect = source.asks.wire, source.asks.dialect
        path, body = await _request(dialect, task)
        try:
            async with wire.lines(path, body, dialect.media_type, until=until) as answer:
                while not told.done and (lines := await answer.lines()):
                    piece, failure = told.take(lines)
                    answer.ended = told.done
                    if piece != NOTHING:
                        if source.failures:
                            source.worked()
                        yield piece
                    if failure is not None:
                        raise failure
        except UnavailableError:
            if not told.reason:
                raise  # with a reason to end, the text is whole
        if not told.reason:
            raise UnavailableError("the remote server broke off within the text", retry_after_s=1.0)
        source.worked()
        yield told.last()


async def _request(dialect: Dialect, task: Generation) -> tuple[str, bytes]:
    if sum(len(image.data) for said in task.messages for image in said.images) > LARGE:
        return await asyncio.to_thread(_encoded, dialect, task)
    return _encoded(dialect, task)


def _encoded(dialect: Dialect, task: Generation) -> tuple[str, bytes]:
    path, body = dialect.request(task)
    return path, msgspec.json.encode(body)


def _dialect(upstream: Upstream, options: LoadOptions) -> Dialect:
    return Ollama(upstream, options) if upstream.protocol == "ollama" else OpenAI(upstream)
