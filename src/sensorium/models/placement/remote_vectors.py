"""What the vectors of a remote model answer."""

from sensorium.core.asking import Embed, Rank, Reply, Scores, Vectors
from sensorium.models.answering import shortened
from sensorium.models.backends.remote_dialect import Dialect
from sensorium.models.backends.remote_vectors import vectors


def told(dialect: Dialect, body: bytes, question: Embed | Rank) -> Reply:
    """The answer to a question, by a server's answer with the vectors of its texts.

    Raises:
        InvalidInputError: more dimensions are asked for than the vectors have.
        UnavailableError: those are no vectors of the texts.
    """
    if isinstance(question, Embed):
        found, tokens = vectors(dialect, body, len(question.texts))
        found = shortened(found, question.dimensions)
        return Vectors(dimensions=found.shape[1], data=found.tobytes(), tokens=tokens)
    found, tokens = vectors(dialect, body, 1 + len(question.documents))
    cosines = found[1:] @ found[0]
    return Scores(scores=[float(each) for each in cosines], method="embedding", tokens=tokens)
