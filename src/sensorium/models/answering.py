"""What a model in its process answers to what is asked beside texts."""

import time
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np

from sensorium.core.asking import (
    Detokenize,
    Embed,
    Measure,
    Question,
    Rank,
    Reply,
    Scores,
    See,
    Sight,
    Size,
    Text,
    Tokenize,
    Tokens,
    Vectors,
)
from sensorium.core.errors import CancelledCallError, InvalidInputError, NotSupportedError
from sensorium.models.backends.base import LoadedModel, TextModel

AT_ONCE = 32
CHARACTERS_AT_ONCE = 8192
"""So many texts, of so many characters in all, are read before it is asked whether the answer is
still wanted: seconds at most, but for a single text that is longer."""
QUICK_S = 0.25
"""After a group that took less, the next may have twice its characters: where there is a GPU, small
ones would leave it idle."""
Wanted = Callable[[], bool]


@runtime_checkable
class Ranker(Protocol):
    """A model that was made to tell how well documents answer a query."""

    def rank(self, query: str, documents: Sequence[str]) -> list[float]:
        """A score for each document.

        Raises:
            NotSupportedError: this one was not.
        """


@runtime_checkable
class Seer(Protocol):
    """A model that takes pictures."""

    @property
    def picture_tasks(self) -> Sequence[str]:
        """See `core.asking.Sight.tasks`."""


def answer(
    model: LoadedModel | TextModel, question: Question, wanted: Wanted = lambda: True
) -> Reply:
    """The answer to a question. `wanted` tells whether anybody still waits for it.

    Raises:
        CancelledCallError: nobody does.
        InvalidInputError: the model cannot take these texts or tokens.
        NotSupportedError: it has no answer to that.
    """
    if isinstance(question, Rank):
        return _rank(model, question, wanted)
    if isinstance(question, See):
        return _sight(model)
    if not isinstance(model, TextModel):
        raise NotSupportedError("this model takes tensors, and no texts")
    match question:
        case Embed():
            vectors, tokens = _embedded(model, question.texts, wanted, truncate=question.truncate)
            vectors = shortened(vectors, question.dimensions)
            return Vectors(dimensions=vectors.shape[1], data=vectors.tobytes(), tokens=tokens)
        case Tokenize():
            return Tokens(tokens=model.tokenize(question.text, special=question.special))
        case Detokenize():
            return Text(text=model.detokenize(question.tokens))
        case Measure():
            return Size(tokens=model.size(question.task))


def shortened(vectors: Any, dimensions: int) -> Any:
    """The first dimensions of vectors, of length 1 again (as Matryoshka models are trained for).

    Raises:
        InvalidInputError: the vectors have fewer.
    """
    if not dimensions or dimensions == vectors.shape[1]:
        return np.ascontiguousarray(vectors, np.float32)
    if dimensions > vectors.shape[1]:
        raise InvalidInputError(f"dimensions: the model's vectors have {vectors.shape[1]}")
    cut = vectors[:, :dimensions]
    norms = np.linalg.norm(cut, axis=1, keepdims=True)
    return np.ascontiguousarray(cut / np.where(norms == 0, 1, norms), np.float32)


def _embedded(
    model: TextModel, texts: Sequence[str], wanted: Wanted, *, truncate: bool = False
) -> tuple[Any, int]:
    """Vectors of texts, and their tokens; a few texts after the other."""
    found = [_group(model, group, truncate=truncate) for group in _groups(texts, wanted)]
    return np.concatenate([vectors for vectors, _ in found]), sum(tokens for _, tokens in found)


def _groups(texts: Sequence[str], wanted: Wanted) -> Iterator[Sequence[str]]:
    """Texts in turn, as many as are read at once; where there are none, no texts once.

    Raises:
        CancelledCallError: they are not wanted any more.
    """
    begin = characters = 0
    most = CHARACTERS_AT_ONCE
    for end, text in enumerate(texts):
        if end > begin and (end - begin == AT_ONCE or characters + len(text) > most):
            began = time.perf_counter()
            yield texts[begin:end]
            quick = time.perf_counter() - began < QUICK_S
            most = max(CHARACTERS_AT_ONCE, 2 * characters if quick else characters // 2)
            begin, characters = end, 0
        characters += len(text)
        if not wanted():
            raise CancelledCallError
    yield texts[begin:]


def _group(model: TextModel, texts: Sequence[str], *, truncate: bool) -> tuple[Any, int]:
    try:
        return model.embed(texts)
    except InvalidInputError as error:
        context = error.details.get("context")
        if not (truncate and context):
            raise
    return model.embed([_beginning(model, text, context) for text in texts])


def _beginning(model: TextModel, text: str, most: int) -> str:
    """As much of a text as has no more tokens, with those that begin and end each text."""

    def tokens(end: int) -> int:
        return len(model.tokenize(text[:end], special=True))

    if tokens(len(text)) <= most:
        return text
    return text[: bisect_right(range(1, len(text)), most, key=tokens)]


def _sight(model: LoadedModel | TextModel) -> Sight:
    if isinstance(model, Seer):
        return Sight(images=True, tasks=list(model.picture_tasks))
    return Sight(images=False)


def _rank(model: LoadedModel | TextModel, question: Rank, wanted: Wanted) -> Scores:
    """By a model that was made for it, or else by how near the texts' vectors are."""
    if isinstance(model, Ranker):
        try:
            groups = _groups(question.documents, wanted)
            scores = [score for group in groups for score in model.rank(question.query, group)]
            return Scores(scores=scores, method="reranker")
        except NotSupportedError:
            if not isinstance(model, TextModel):
                raise
    if not isinstance(model, TextModel):
        raise NotSupportedError("this model takes tensors, and no texts")
    vectors, tokens = _embedded(model, [question.query, *question.documents], wanted)
    cosines = vectors[1:] @ vectors[0]
    return Scores(scores=[float(each) for each in cosines], method="embedding", tokens=tokens)
