"""The `chat` operations."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

from msgspec.structs import replace

from sensorium.capabilities.language.choices import chunks
from sensorium.capabilities.language.collecting import collect_chat
from sensorium.capabilities.language.images import with_images
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
    async with aclosing(await _chunks(request, context)) as answers:
        return await collect_chat(answers)


@operation("chat.stream", execution=Execution.ASYNC, large=True, example=EXAMPLE)
async def stream(request: ConversationRequest, context: Context) -> AsyncIterator[Chunk]:
    """What a language model answers in a conversation, as it comes."""
    async with aclosing(await _chunks(request, context)) as answers:
        async for chunk in answers:
            yield chunk


async def _chunks(request: ConversationRequest, context: Context) -> AsyncGenerator[Chunk, None]:
    task = chat_task(request)
    model, version = request.model, request.version
    messages = await with_images(context, model, version, task.messages)
    return chunks(context, model, version, replace(task, messages=messages), request.n)
