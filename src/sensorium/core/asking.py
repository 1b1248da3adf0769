"""What a language model is asked beside texts, and what it answers. Light to load."""

from msgspec import Struct

from sensorium.core.generation import Generation
from sensorium.core.types import Count as Number


class Embed(Struct, frozen=True, kw_only=True, tag=True):
    """Vectors that stand for texts: answered by `Vectors`."""

    texts: list[str]
    dimensions: int = 0
    """Only so many of the first, brought to length 1 again; 0: all."""
    truncate: bool = False
    """Read no more of a text than the model takes, rather than refuse it."""


class Tokenize(Struct, frozen=True, kw_only=True, tag=True):
    """The tokens of a text: answered by `Tokens`."""

    text: str
    special: bool
    """As a prompt: with the token that begins it, and with names of special tokens as those."""


class Detokenize(Struct, frozen=True, kw_only=True, tag=True):
    """The text of tokens: answered by `Text`."""

    tokens: list[int]


class Measure(Struct, frozen=True, kw_only=True, tag=True):
    """How many tokens a task's prompt or conversation has: answered by `Size`."""

    task: Generation


class Rank(Struct, frozen=True, kw_only=True, tag=True):
    """How well documents answer a query: answered by `Scores`."""

    query: str
    documents: list[str]


class See(Struct, frozen=True, kw_only=True, tag=True):
    """Whether a model takes pictures: answered by `Sight`."""


Question = Embed | Tokenize | Detokenize | Measure | Rank | See


class Reply(Struct, frozen=True, kw_only=True):
    """An answer, and whose it is."""

    model: str = ""
    version: str = ""
    digest: str = ""


class Vectors(Reply, frozen=True, kw_only=True):
    """Vectors of length 1."""

    dimensions: Number
    data: bytes
    """float32, little-endian, vector by vector."""
    tokens: Number = 0
    """Tokens read, where that is known."""


class Tokens(Reply, frozen=True, kw_only=True):
    """Numbers of tokens."""

    tokens: list[int]


class Text(Reply, frozen=True, kw_only=True):
    """A text."""

    text: str


class Size(Reply, frozen=True, kw_only=True):
    """A number of tokens."""

    tokens: Number


class Scores(Reply, frozen=True, kw_only=True):
    """A score for each document, higher for a better one."""

    scores: list[float]
    method: str
    """`reranker`: a model made for it; `embedding`: the cosine of the vectors."""
    tokens: Number = 0


class Sight(Reply, frozen=True, kw_only=True):
    """How a model takes pictures."""

    images: bool
    """Whether it does."""
    tasks: list[str] = []
    """The marks by which it is told what to do with one, where it answers to nothing else."""
