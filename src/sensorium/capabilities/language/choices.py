"""Several texts of one task, made side by side, and what they took together."""

import asyncio
import secrets
import time
from collections import defaultdict
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from msgspec.structs import replace

from sensorium.capabilities.language.schema import Chunk, Timing, Told, Usage
from sensorium.core.conversation import ToolCallPart
from sensorium.core.generation import Generation, Piece
from sensorium.core.operation import Context

Indexed = tuple[int, Piece]


class Bill:
    """Adds up what the texts of one call take. Their prompt is the same, and counts once."""

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self._first = 0.0
        self._ended = Piece()
        self._made = 0
        self._making = 0.0

    def add(self, piece: Piece) -> None:
        """Note a piece."""
        self._first = self._first or time.perf_counter()
        if piece.finish:
            self._ended = self._ended if self._ended.finish else piece
            self._made += piece.generated_tokens
            self._making = max(self._making, piece.seconds)

    def told(self) -> Told:
        """The sum, now that the texts have ended."""
        now = time.perf_counter()
        making = self._making or now - self._first
        return Told(
            model=self._ended.model,
            version=self._ended.version,
            digest=self._ended.digest,
            usage=Usage(
                prompt_tokens=self._ended.prompt_tokens,
                cached_tokens=self._ended.cached_tokens,
                generated_tokens=self._made,
            ),
            timing=Timing(
                first_token_s=max(0.0, self._first - self._began),
                total_s=now - self._began,
                tokens_per_s=self._made / making if making > 0 else 0.0,
            ),
        )


class _Calls:
    """The calls that one text makes of its tools, as clients need them: each has an id."""

    def __init__(self, task: Generation) -> None:
        self._several = task.parallel_tools
        self._seen: set[int] = set()

    def of(self, piece: Piece) -> list[ToolCallPart]:
        """A piece's parts of calls; of the first call alone, where one at most is wanted."""
        parts = [each for each in piece.tool_calls if self._several or not each.index]
        return [each if each.index in self._seen else self._first(each) for each in parts]

    def _first(self, part: ToolCallPart) -> ToolCallPart:
        self._seen.add(part.index)
        return replace(part, id=part.id or f"call_{secrets.token_hex(12)}")


async def chunks(
    context: Context, model: str, version: str, task: Generation, n: int
) -> AsyncGenerator[Chunk, None]:
    """The pieces of `n` texts of a task, then one chunk that tells what they took."""
    bill = Bill()
    calls = defaultdict[int, _Calls](lambda: _Calls(task))
    texts = _pieces if n > 1 else _alone
    async with aclosing(texts(context, model, version, _tasks(task, n))) as pieces:
        async for index, piece in pieces:
            bill.add(piece)
            yield Chunk(
                index=index,
                text=piece.text,
                reasoning=piece.reasoning,
                tool_calls=calls[index].of(piece) if piece.tool_calls else [],
                steps=piece.steps,
                finish=piece.finish,
                stopped_by=piece.stopped_by,
            )
    yield Chunk(told=bill.told())


def _tasks(task: Generation, n: int) -> list[Generation]:
    """The task, `n` times; with a seed, each has another, or all would be the same text."""
    if task.seed is None:
        return [task] * n
    return [replace(task, seed=(task.seed + index) % 2**32) for index in range(n)]


async def _alone(
    context: Context, model: str, version: str, tasks: Sequence[Generation]
) -> AsyncGenerator[Indexed, None]:
    """The usual case, without a task for each piece."""
    async with aclosing(context.generate(model, tasks[0], version=version)) as pieces:
        async for piece in pieces:
            yield 0, piece


async def _pieces(
    context: Context, model: str, version: str, tasks: Sequence[Generation]
) -> AsyncGenerator[Indexed, None]:
    """Pieces of all texts as they come; the first error ends all."""
    texts = [context.generate(model, task, version=version) for task in tasks]
    coming = {asyncio.create_task(_next(text)): index for index, text in enumerate(texts)}
    try:
        while coming:
            done, _ = await asyncio.wait(coming, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                index = coming.pop(task)
                if (piece := task.result()) is not None:
                    coming[asyncio.create_task(_next(texts[index]))] = index
                    yield index, piece
    finally:
        for task in coming:
            task.cancel()
        await asyncio.gather(*coming, return_exceptions=True)
        for text in texts:
            await text.aclose()


async def _next(text: AsyncGenerator[Piece, None]) -> Piece | None:
    return await anext(text, None)
