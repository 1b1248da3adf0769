"""The `text` operations that make text."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

from sensorium.capabilities.language.choices import chunks
from sensorium.capabilities.language.collecting import collect_text
from sensorium.capabilities.language.schema import Chunk, ContinuationRequest, ContinuationResponse
from sensorium.capabilities.language.tasks import text_task
from sensorium.core.operation import Context, Execution, operation

EXAMPLE = ContinuationRequest(prompt="Once upon a time", temperature=0.0, max_tokens=16)


@operation("text.complete", execution=Execution.ASYNC, deadline_s=600.0, example=EXAMPLE)
async def complete(request: ContinuationRequest, context: Context) -> ContinuationResponse:
    """How a language model goes on with a text, just as it stands."""
    async with aclosing(_chunks(request, context)) as texts:
        return await collect_text(texts)


@operation("text.stream", execution=Execution.ASYNC, example=EXAMPLE)
async def stream(request: ContinuationRequest, context: Context) -> AsyncIterator[Chunk]:
    """How a language model goes on with a text, as it comes."""
    async with aclosing(_chunks(request, context)) as texts:
        async for chunk in texts:
            yield chunk


def _chunks(request: ContinuationRequest, context: Context) -> AsyncGenerator[Chunk, None]:
    return chunks(context, request.model, request.version, text_task(request), request.n)
