"""Questions whose callers leave: they end soon, and cost nobody else anything."""

import asyncio
from collections.abc import Sequence

import numpy as np
import pytest

from sensorium.core.asking import Embed, Question, Rank, Reply, Scores, Vectors
from sensorium.core.errors import CancelledCallError
from sensorium.models.answering import AT_ONCE, CHARACTERS_AT_ONCE, answer
from sensorium.models.placement.process import InProcess
from tests.language.lasting import TINYLM
from tests.models.backends import contract
from tests.models.placement.working import text, with_model
from tests.workers.test_pool import until

LONG = "the little dog ran to the big red house and saw a cat that was very happy. " * 9
MANY = 2048
"""Of these, a minute's work and more."""
LEFT = pytest.mark.parametrize(
    ("question", "returns"),
    [
        (Embed(texts=[LONG] * MANY), Vectors),
        (Embed(texts=[LONG * 2] * MANY, truncate=True), Vectors),
        (Rank(query="a cat", documents=[LONG] * MANY), Scores),
    ],
    ids=["embed", "truncate", "rank"],
)


@LEFT
def test_whoever_leaves_a_question_harms_nobody(
    question: Question, returns: type[Reply], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sensorium.models.placement.process.TOKEN_GRACE_S", 0.01)

    async def work(placed: InProcess) -> None:
        alone = await text(placed, tokens=100)
        await placed.ask(Embed(texts=["a"]), Vectors)  # has the engine for vectors made
        pid, (worker,) = placed.pid, placed._pool.workers
        asked = asyncio.create_task(placed.ask(question, returns))
        await until(lambda: bool(worker.calls))
        assert await text(placed) in alone
        assert not asked.done()
        asked.cancel()
        assert await text(placed, tokens=100) == alone
        await until(lambda: not worker.calls, 10)
        assert placed.pid == pid

    with_model(work)


def test_it_is_asked_between_a_few_texts_whether_more_are_wanted() -> None:
    model = contract.load(contract.artifact(TINYLM, "gguf"), contract.OPTIONS)
    rounds = 0

    def wanted() -> bool:
        nonlocal rounds
        rounds += 1
        return rounds < AT_ONCE + 5

    try:
        with pytest.raises(CancelledCallError):
            answer(model, Embed(texts=["a cat"] * MANY), wanted)
        assert rounds == AT_ONCE + 5
    finally:
        model.close()


def test_texts_in_groups_have_the_vectors_that_they_have_alone() -> None:
    model = contract.load(contract.artifact(TINYLM, "gguf"), contract.OPTIONS)
    texts = [f"a cat and {number} dogs" for number in range(AT_ONCE + 3)]
    texts[5] = "a cat " * 100
    texts[7:9] = [LONG[: CHARACTERS_AT_ONCE // 16]] * 2
    try:
        found = answer(model, Embed(texts=texts))
        assert isinstance(found, Vectors)
        vectors = np.frombuffer(found.data, np.float32).reshape(len(texts), -1)
        alone = [model.embed([each]) for each in texts]
        for vector, (other, _) in zip(vectors, alone, strict=True):
            np.testing.assert_allclose(vector, other[0], atol=1e-4)
        assert found.tokens == sum(tokens for _, tokens in alone)
    finally:
        model.close()


class Quick:
    """A ranker that takes no time."""

    def __init__(self) -> None:
        self.groups: list[int] = []

    def rank(self, query: str, documents: Sequence[str]) -> list[float]:
        self.groups.append(len(documents))
        return [float(len(each)) for each in documents]


def test_what_is_quick_is_given_more_at_once() -> None:
    ranker = Quick()
    documents = ["a" * (CHARACTERS_AT_ONCE // 2)] * 70 + ["a"]
    found = answer(ranker, Rank(query="a", documents=documents))  # type: ignore[arg-type]
    assert isinstance(found, Scores)
    assert found.scores == [float(len(each)) for each in documents]
    assert ranker.groups == [2, 4, 8, 16, AT_ONCE, 9]
