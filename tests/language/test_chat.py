"""Conversations with the model that ships, in this process."""

import asyncio
import json
from pathlib import Path

import pytest

from sensorium.app import App
from sensorium.capabilities.language.chat import Chunk
from sensorium.capabilities.language.schema import ConversationRequest, ConversationResponse
from sensorium.core.conversation import Message, Tool
from sensorium.core.dispatch import Caller
from sensorium.core.errors import InvalidInputError, NotFoundError
from tests.language.running import running

GREEDY = json.loads((Path(__file__).parent / "greedy_hf.json").read_text())
"""What transformers makes of each prompt, always taking the likeliest token."""


async def complete(app: App, request: ConversationRequest) -> ConversationResponse:
    answer = await app.dispatcher.call("chat.complete", request, Caller())
    assert isinstance(answer.value, ConversationResponse)
    return answer.value


def ask(text: str, **more: object) -> ConversationRequest:
    messages = [Message(role="user", content=text)]
    return ConversationRequest(messages=messages, **{"temperature": 0.0, **more})  # type: ignore[arg-type]


def test_the_answers_are_those_of_transformers(tmp_path: Path) -> None:
    async def main() -> None:
        async with running(tmp_path) as app:
            for prompt, expected in GREEDY.items():
                found = await complete(app, ask(prompt, max_tokens=200))
                assert found.choices[0].message.content == expected["text"].strip()

    asyncio.run(main())


def test_a_stream_tells_the_same_as_the_whole(tmp_path: Path) -> None:
    async def main() -> None:
        async with running(tmp_path) as app:
            request = ask("Tell me a story about a fox.", seed=7, temperature=1.0, n=2)
            whole = await complete(app, request)
            chunks = [
                each.value
                async for each in app.dispatcher.stream("chat.stream", request, Caller())
                if isinstance(each.value, Chunk)
            ]
            for choice in whole.choices:
                parts = [each.text for each in chunks if each.index == choice.index]
                assert "".join(parts) == choice.message.content
            assert whole.choices[0].message != whole.choices[1].message
            told = chunks[-1].told
            assert told is not None
            assert told.usage.generated_tokens == whole.usage.generated_tokens
            assert (told.model, told.digest) == (whole.model, whole.digest)
            assert 0 < told.timing.first_token_s <= told.timing.total_s

    asyncio.run(main())


@pytest.mark.parametrize(
    ("request_", "error", "says"),
    [
        (ask("x", tool_choice="nope"), InvalidInputError, "no tool 'nope'"),
        (ask("x", tool_choice="required"), InvalidInputError, "there is none"),
        (ask("x" * 5000), InvalidInputError, "context"),
        (ask("x", model="no-such"), NotFoundError, "no-such"),
        (ask("x", json_schema={"type": "nonsense"}), InvalidInputError, "json_schema"),
    ],
)
def test_what_cannot_be_answered_is_said(
    request_: ConversationRequest, error: type[Exception], says: str, tmp_path: Path
) -> None:
    async def main() -> None:
        async with running(tmp_path) as app:
            with pytest.raises(error, match=says):
                await complete(app, request_)

    asyncio.run(main())


def test_a_tool_is_offered(tmp_path: Path) -> None:
    async def main() -> None:
        async with running(tmp_path) as app:
            tool = Tool(name="get_weather", parameters={"properties": {"city": {}}})
            found = await complete(app, ask("What is the weather in Paris?", tools=[tool]))
            assert found.choices[0].finish in ("stop", "tool_calls")

    asyncio.run(main())
