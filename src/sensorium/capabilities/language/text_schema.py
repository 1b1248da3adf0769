"""What goes in and out of the `text` operations that make no text."""

from typing import Annotated

from msgspec import Meta, Struct

from sensorium.capabilities.language.schema import DEFAULT, ModelName, Version
from sensorium.core.conversation import MAX_TEXT, Message, Tool
from sensorium.core.types import Count

DEFAULT_EMBEDDING = "default-embedding"
"""The alias of the model that makes vectors where none is named."""
MAX_TEXTS = 4096

Digest = Annotated[str, Meta(description="What the model's files hash to (SHA-256).")]
Answered = Annotated[str, Meta(description="The model that answered.")]
ItsVersion = Annotated[str, Meta(description="Its version.")]
ReadTokens = Annotated[Count, Meta(description="Tokens read; 0 where the model does not tell.")]
Text = Annotated[str, Meta(max_length=MAX_TEXT)]


class EmbedRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Texts whose meaning is wanted as vectors."""

    model: ModelName = DEFAULT_EMBEDDING
    version: Version = ""
    texts: Annotated[list[Text], Meta(min_length=1, max_length=MAX_TEXTS, description="The texts.")]
    dimensions: Annotated[
        int, Meta(ge=0, le=1_000_000, description="Only so many of the first; 0: all.")
    ] = 0
    raw: Annotated[bool, Meta(description="As raw bytes rather than as numbers.")] = False
    truncate: Annotated[
        bool, Meta(description="Of a text that is too long, take the beginning; else refuse it.")
    ] = False


class EmbedResponse(Struct, frozen=True, kw_only=True):
    """A vector of length 1 for each text: near ones mean much the same."""

    model: Answered
    version: ItsVersion
    digest: Digest
    dimensions: Annotated[Count, Meta(description="Numbers of each vector.")]
    vectors: Annotated[
        list[list[float]], Meta(description="The vectors, unless `raw`, or very many.")
    ] = []
    data: Annotated[
        bytes, Meta(description="Otherwise: float32, little-endian, vector by vector.")
    ] = b""
    tokens: ReadTokens = 0


class TokenizeRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A text to take apart as a model does."""

    model: ModelName = DEFAULT
    version: Version = ""
    text: Annotated[Text, Meta(description="The text.")]
    special: Annotated[
        bool,
        Meta(description="As a prompt has it: begun, and names of special tokens read as those."),
    ] = True


class TokenizeResponse(Struct, frozen=True, kw_only=True):
    """The tokens of a text."""

    model: Answered
    tokens: Annotated[list[Count], Meta(description="Their numbers.")]


class DetokenizeRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Tokens to put together."""

    model: ModelName = DEFAULT
    version: Version = ""
    tokens: Annotated[list[Count], Meta(max_length=MAX_TEXT, description="Their numbers.")]


class DetokenizeResponse(Struct, frozen=True, kw_only=True):
    """The text of tokens."""

    model: Answered
    text: Annotated[str, Meta(description="The text.")]


class CountRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A text or a conversation whose length matters."""

    model: ModelName = DEFAULT
    version: Version = ""
    text: Annotated[Text, Meta(description="A text; or else:")] = ""
    messages: Annotated[
        list[Message], Meta(max_length=10_000, description="A conversation, oldest first.")
    ] = []
    tools: Annotated[
        list[Tool], Meta(max_length=256, description="The tools that are told of in it.")
    ] = []


class CountResponse(Struct, frozen=True, kw_only=True):
    """How long it is."""

    model: Answered
    tokens: Annotated[Count, Meta(description="Tokens that the model would read.")]


class RerankRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Documents to bring into order by how well they answer a query."""

    model: ModelName = DEFAULT_EMBEDDING
    version: Version = ""
    query: Annotated[Text, Meta(description="What is looked for.")]
    documents: Annotated[
        list[Text], Meta(min_length=1, max_length=MAX_TEXTS, description="The documents.")
    ]
    top_n: Annotated[int, Meta(ge=0, le=MAX_TEXTS, description="Only so many; 0: all.")] = 0


class Ranked(Struct, frozen=True, kw_only=True):
    """A document in its place."""

    index: Annotated[Count, Meta(description="Which of the documents, from 0.")]
    score: Annotated[float, Meta(description="How well it answers; higher is better.")]


class RerankResponse(Struct, frozen=True, kw_only=True):
    """The documents, the best first."""

    model: Answered
    results: Annotated[list[Ranked], Meta(description="The best first.")]
    method: Annotated[
        str,
        Meta(
            description="'reranker': by a model made for it; "
            "'embedding': by how near the texts' vectors are."
        ),
    ]
    tokens: ReadTokens = 0
