"""The `chat` operations."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

from sensorium.capabilities.language.choices import chunks
from sensorium.capabilities.language.collecting import collect_chat
from sensorium.capabilities.language.schema import Chunk, ConversationRequest, ConversationResponse
from sensorium.capabilities.language.tasks import chat_task
from sensorium.core.conversation import Message
from sensorium.core.operation import Context, Execution, operation

EXAMPLE = ConversationRequest(
    messages=[Message(role="user", content="What is the capital of France?")],
    temperature=0.0,
    max_tokens=32,
)


@operation(
    "chat.complete", execution=Execution.ASYNC, large=True, deadline_s=600.0, example=EXAMPLE
)
async def complete(request: ConversationRequest, context: Context) -> ConversationResponse:
    """What a language model answers in a conversation."""
    async with aclosing(_chunks(request, context)) as answers:
        return await collect_chat(answers)


@operation("chat.stream", execution=Execution.ASYNC, large=True, example=EXAMPLE)
async def stream(request: ConversationRequest, context: Context) -> AsyncIterator[Chunk]:
    """What a language model answers in a conversation, as it comes."""
    async with aclosing(_chunks(request, context)) as answers:
        async for chunk in answers:
            yield chunk


def _chunks(request: ConversationRequest, context: Context) -> AsyncGenerator[Chunk, None]:
    return chunks(context, request.model, request.version, chat_task(request), request.n)
