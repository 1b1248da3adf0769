"""Texts and questions of one language model side by side: bounded, in order, in no one's way."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from sensorium.control.models import ModelRuntime
from sensorium.core.asking import Embed, Question, Rank, Reply, Scores, Tokenize, Tokens, Vectors
from sensorium.core.dispatch import Priority
from sensorium.core.errors import OverloadedError
from sensorium.core.generation import Generation
from sensorium.models.backends.base import LoadOptions
from sensorium.models.exchange import QUESTIONS
from sensorium.models.settings import ModelSettings
from tests.workers.test_pool import until

TINYLM = "tinylm"
QUEUE = 2
LONG = ["the little dog ran to the big red house and saw a cat. " * 12] * 2000
"""More than a minute's work."""
LIMIT_S = 60.0
Ask = Callable[..., asyncio.Task[Reply]]


def with_model(work: Callable[[ModelRuntime, Ask], Awaitable[None]], folder: Path) -> None:
    """Work with a model that makes one text at a time; what is asked is cancelled at the end."""

    async def run() -> None:
        runtime = ModelRuntime(ModelSettings(model_queue=QUEUE), folder)
        asked: list[asyncio.Task[Reply]] = []

        def ask(
            question: Question,
            returns: type[Reply] = Vectors,
            priority: Priority = Priority.INTERACTIVE,
        ) -> asyncio.Task[Reply]:
            call = runtime.inference.ask(TINYLM, question, returns, priority=priority)
            asked.append(asyncio.create_task(call))
            return asked[-1]

        try:
            await runtime.pool.load(TINYLM, options=LoadOptions(threads=1, parallel=1))
            async with asyncio.timeout(LIMIT_S):
                await ask(Embed(texts=["a"]))
                await work(runtime, ask)
        finally:
            for each in asked:
                each.cancel()
            await asyncio.gather(*asked, return_exceptions=True)
            await runtime.close()

    asyncio.run(run())


async def text(runtime: ModelRuntime) -> str:
    task = Generation(prompt="Once upon a time", max_tokens=5, temperature=0.0)
    return "".join([piece.text async for piece in runtime.inference.generate(TINYLM, task)])


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("question", "returns"),
    [(Embed(texts=LONG), Vectors), (Rank(query="a cat", documents=LONG), Scores)],
)
def test_questions_wait_for_each_other_and_no_text_for_them(
    question: Question, returns: type[Reply], tmp_path: Path
) -> None:
    async def work(runtime: ModelRuntime, ask: Ask) -> None:
        asked = [ask(question, returns) for _ in range(QUESTIONS + QUEUE)]
        await settle()
        with pytest.raises(OverloadedError) as caught:
            await ask(question, returns)
        assert (caught.value.retry_after_s, caught.value.details) == (1.0, {"lane": "vectors"})
        assert await text(runtime)
        assert await ask(Tokenize(text="a", special=False), Tokens)
        assert not any(each.done() for each in asked)
        (loaded,) = runtime.pool.loaded
        assert loaded.failed_at is None, "to have much to do is no fault of the model"

    with_model(work, tmp_path)


def test_interactive_questions_go_before_batch_ones(tmp_path: Path) -> None:
    async def work(runtime: ModelRuntime, ask: Ask) -> None:
        long = [ask(Embed(texts=LONG)) for _ in range(QUESTIONS)]
        await settle()
        ended: list[str] = []
        batch = ask(Embed(texts=["a"] * 100), Vectors, Priority.BATCH)
        batch.add_done_callback(lambda _: ended.append("batch"))
        await settle()
        interactive = ask(Embed(texts=["a"]))
        interactive.add_done_callback(lambda _: ended.append("interactive"))
        await settle()
        long[0].cancel()
        await asyncio.gather(batch, interactive)
        assert ended == ["interactive", "batch"]

    with_model(work, tmp_path)


def test_what_callers_left_behind_takes_no_text_s_place(tmp_path: Path) -> None:
    """Those who leave are many, one after the other, and what they asked for ends after them."""

    async def work(runtime: ModelRuntime, ask: Ask) -> None:
        for _ in range(10):
            leaving = [ask(Embed(texts=LONG)) for _ in range(QUESTIONS)]
            await settle()
            for each in leaving:
                each.cancel()
            await asyncio.wait(leaving)
        (loaded,) = runtime.pool.loaded
        (worker,) = loaded.placed._pool.workers  # type: ignore[attr-defined]
        assert len(worker.calls) <= QUESTIONS
        assert await text(runtime)
        assert isinstance(await ask(Embed(texts=["a"])), Vectors)
        await until(lambda: not worker.calls)

    with_model(work, tmp_path)
