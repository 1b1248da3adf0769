"""The `text` operations."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

from sensorium.capabilities.language.choices import chunks
from sensorium.capabilities.language.collecting import collect_text
from sensorium.capabilities.language.images import with_images
from sensorium.capabilities.language.schema import Chunk, ContinuationRequest, ContinuationResponse
from sensorium.capabilities.language.tasks import text_task
from sensorium.capabilities.language.text_schema import (
    CountRequest,
    CountResponse,
    DetokenizeRequest,
    DetokenizeResponse,
    EmbedRequest,
    EmbedResponse,
    Ranked,
    RerankRequest,
    RerankResponse,
    TokenizeRequest,
    TokenizeResponse,
)
from sensorium.core.asking import (
    Detokenize,
    Embed,
    Measure,
    Rank,
    Scores,
    Size,
    Text,
    Tokenize,
    Tokens,
    Vectors,
)
from sensorium.core.errors import InvalidInputError
from sensorium.core.generation import Generation
from sensorium.core.operation import Context, Execution, operation
from sensorium.core.tensors import unpack_numbers

FEW = 1 << 18
"""So many numbers are told as such; more would hold up the server, and stay raw."""
EXAMPLE = ContinuationRequest(prompt="Once upon a time", temperature=0.0, max_tokens=16)


@operation(
    "text.complete", execution=Execution.ASYNC, large=True, deadline_s=600.0, example=EXAMPLE
)
async def complete(request: ContinuationRequest, context: Context) -> ContinuationResponse:
    """How a language model goes on with a text, just as it stands."""
    async with aclosing(_chunks(request, context)) as texts:
        return await collect_text(texts)


@operation("text.stream", execution=Execution.ASYNC, large=True, example=EXAMPLE)
async def stream(request: ContinuationRequest, context: Context) -> AsyncIterator[Chunk]:
    """How a language model goes on with a text, as it comes."""
    async with aclosing(_chunks(request, context)) as texts:
        async for chunk in texts:
            yield chunk


@operation(
    "text.embed",
    execution=Execution.ASYNC,
    large=True,
    deadline_s=600.0,
    example=EmbedRequest(texts=["a red fox", "a quick animal"], raw=True),
)
async def embed(request: EmbedRequest, context: Context) -> EmbedResponse:
    """Vectors of texts: near ones mean much the same."""
    question = Embed(texts=request.texts, dimensions=request.dimensions, truncate=request.truncate)
    found = await context.ask(request.model, question, Vectors, version=request.version)
    raw = request.raw or len(found.data) > 4 * FEW
    return EmbedResponse(
        model=found.model,
        version=found.version,
        digest=found.digest,
        dimensions=found.dimensions,
        vectors=[] if raw else _vectors(found),
        data=found.data if raw else b"",
        tokens=found.tokens,
    )


@operation(
    "text.tokenize",
    execution=Execution.ASYNC,
    large=True,
    example=TokenizeRequest(text="Once upon a time"),
)
async def tokenize(request: TokenizeRequest, context: Context) -> TokenizeResponse:
    """The tokens of a text, as a model reads it."""
    question = Tokenize(text=request.text, special=request.special)
    found = await context.ask(request.model, question, Tokens, version=request.version)
    return TokenizeResponse(model=found.model, tokens=found.tokens)


@operation(
    "text.detokenize",
    execution=Execution.ASYNC,
    large=True,
    example=DetokenizeRequest(tokens=[4, 77, 78, 2]),
)
async def detokenize(request: DetokenizeRequest, context: Context) -> DetokenizeResponse:
    """The text of tokens."""
    question = Detokenize(tokens=request.tokens)
    found = await context.ask(request.model, question, Text, version=request.version)
    return DetokenizeResponse(model=found.model, text=found.text)


@operation(
    "text.count",
    execution=Execution.ASYNC,
    large=True,
    example=CountRequest(text="Once upon a time"),
)
async def count(request: CountRequest, context: Context) -> CountResponse:
    """How many tokens a model would read of a text or a conversation."""
    if bool(request.text) == bool(request.messages):
        raise InvalidInputError("give a text, or the messages of a conversation")
    messages = await with_images(context, request.model, request.version, request.messages)
    task = Generation(prompt=request.text, messages=messages, tools=request.tools)
    found = await context.ask(request.model, Measure(task=task), Size, version=request.version)
    return CountResponse(model=found.model, tokens=found.tokens)


@operation(
    "text.rerank",
    execution=Execution.ASYNC,
    large=True,
    deadline_s=600.0,
    example=RerankRequest(query="a fox", documents=["an animal", "a number"]),
)
async def rerank(request: RerankRequest, context: Context) -> RerankResponse:
    """Documents, brought into order by how well they answer a query."""
    question = Rank(query=request.query, documents=request.documents)
    found = await context.ask(request.model, question, Scores, version=request.version)
    ranked = [Ranked(index=index, score=score) for index, score in enumerate(found.scores)]
    ranked.sort(key=lambda each: -each.score)
    return RerankResponse(
        model=found.model,
        results=ranked[: request.top_n or None],
        method=found.method,
        tokens=found.tokens,
    )


def _vectors(found: Vectors) -> list[list[float]]:
    numbers = [float(each or 0) for each in unpack_numbers("FP32", found.data)]
    size = found.dimensions
    return [numbers[start : start + size] for start in range(0, len(numbers), size)]


def _chunks(request: ContinuationRequest, context: Context) -> AsyncGenerator[Chunk, None]:
    return chunks(context, request.model, request.version, text_task(request), request.n)
