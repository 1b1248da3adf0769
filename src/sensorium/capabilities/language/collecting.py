"""The chunks of texts, put together into whole answers."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import TypeVar

from msgspec.structs import asdict

from sensorium.capabilities.language.schema import (
    Answer,
    Chunk,
    Continuation,
    ContinuationResponse,
    ConversationResponse,
    Told,
)
from sensorium.core.conversation import Message, ToolCallPart, tool_calls
from sensorium.core.generation import Finish, Step

R = TypeVar("R", ConversationResponse, ContinuationResponse)


@dataclass
class _Text:
    """One text so far."""

    text: list[str] = field(default_factory=list)
    reasoning: list[str] = field(default_factory=list)
    calls: list[ToolCallPart] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    finish: Finish = ""
    stopped_by: str = ""

    def add(self, chunk: Chunk) -> None:
        """Note what comes next of it."""
        self.text.append(chunk.text)
        self.reasoning.append(chunk.reasoning)
        self.calls += chunk.tool_calls
        self.steps += chunk.steps
        self.finish = chunk.finish or self.finish
        self.stopped_by = chunk.stopped_by or self.stopped_by

    def message(self) -> Message:
        """All of it, as a message."""
        return Message(
            role="assistant",
            content="".join(self.text),
            reasoning="".join(self.reasoning),
            tool_calls=tool_calls(self.calls),
        )


async def collect_chat(chunks: AsyncIterator[Chunk]) -> ConversationResponse:
    """Whole answers of a conversation."""
    texts, told = await _collected(chunks)
    choices = [
        Answer(
            index=index,
            message=text.message(),
            finish=text.finish,
            stopped_by=text.stopped_by,
            steps=text.steps,
        )
        for index, text in enumerate(texts)
    ]
    return _with(ConversationResponse, told, choices)


async def collect_text(chunks: AsyncIterator[Chunk]) -> ContinuationResponse:
    """Whole texts."""
    texts, told = await _collected(chunks)
    choices = [
        Continuation(
            index=index,
            text="".join(text.text),
            finish=text.finish,
            stopped_by=text.stopped_by,
            steps=text.steps,
        )
        for index, text in enumerate(texts)
    ]
    return _with(ContinuationResponse, told, choices)


async def _collected(chunks: AsyncIterator[Chunk]) -> tuple[list[_Text], Told]:
    texts: dict[int, _Text] = {}
    told = Told()
    async for chunk in chunks:
        if chunk.told is not None:
            told = chunk.told
        else:
            texts.setdefault(chunk.index, _Text()).add(chunk)
    return [texts[index] for index in sorted(texts)], told


def _with(kind: type[R], told: Told, choices: list[Answer] | list[Continuation]) -> R:
    return kind(choices=choices, **asdict(told))  # type: ignore[arg-type]
