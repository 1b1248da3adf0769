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
        (ask("x", logit_bias={"abc": 1.0}), InvalidInputError, "0-9"),
        (ask("x", logit_bias={"-1": 1.0}), InvalidInputError, "0-9"),
        (ask("x", logit_bias={"4294967301": 1.0}), InvalidInputError, "0-9"),
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


WEATHER = Tool(
    name="get_weather",
    parameters={
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
)
ALARM = Tool(name="set_alarm", parameters={"properties": {"time": {"type": "string"}}})


@pytest.mark.parametrize("choice", ["auto", "required", "get_weather"])
def test_a_tool_is_called(choice: str, tmp_path: Path) -> None:
    async def main() -> None:
        async with running(tmp_path) as app:
            question = "What is the weather in Paris?"
            request = ask(question, tools=[WEATHER, ALARM], tool_choice=choice)
            answer = (await complete(app, request)).choices[0]
            (call,) = answer.message.tool_calls
            assert (call.name, json.loads(call.arguments)) == ("get_weather", {"city": "Paris"})
            assert (answer.finish, answer.message.content) == ("tool_calls", "")
            assert call.id.startswith("call_")

    asyncio.run(main())


def test_a_call_is_held_to_the_tool_that_is_named(tmp_path: Path) -> None:
    async def main() -> None:
        async with running(tmp_path) as app:
            request = ask("Hello!", tools=[WEATHER, ALARM], tool_choice="set_alarm")
            (call,) = (await complete(app, request)).choices[0].message.tool_calls
            assert call.name == "set_alarm"
            assert set(json.loads(call.arguments)) <= {"time"}
            without = ask("Hello!", tools=[WEATHER], tool_choice="none")
            assert not (await complete(app, without)).choices[0].message.tool_calls

    asyncio.run(main())


PLACED = Tool(
    name="get_weather",
    parameters={
        "type": "object",
        "properties": {"city": {"$ref": "#/$defs/City"}},
        "required": ["city"],
        "$defs": {"City": {"enum": ["Paris", "Rome"]}},
    },
)
ANSWER = {
    "type": "object",
    "properties": {"answer": {"$ref": "#/$defs/Text"}},
    "required": ["answer"],
    "$defs": {"Text": {"type": "string", "maxLength": 40}},
}


@pytest.mark.parametrize("tools", [[PLACED], [PLACED, ALARM]])
def test_a_tools_schema_may_refer_to_its_parts(tools: list[Tool], tmp_path: Path) -> None:
    async def main() -> None:
        async with running(tmp_path) as app:
            request = ask("Weather in Paris?", tools=tools, tool_choice="required")
            (call,) = (await complete(app, request)).choices[0].message.tool_calls
            assert call.name != "get_weather" or json.loads(call.arguments)["city"] in (
                "Paris",
                "Rome",
            )

    asyncio.run(main())


def test_beside_a_schema_a_tool_is_called_as_it_would_be_alone(tmp_path: Path) -> None:
    async def main() -> None:
        async with running(tmp_path) as app:
            question = "What is the weather in Paris?"
            request = ask(question, tools=[PLACED, ALARM], json_schema=ANSWER)
            (call,) = (await complete(app, request)).choices[0].message.tool_calls
            assert (call.name, json.loads(call.arguments)) == ("get_weather", {"city": "Paris"})

    asyncio.run(main())


def test_a_prompt_counts_once_however_many_answers_there_are(tmp_path: Path) -> None:
    async def main() -> None:
        async with running(tmp_path) as app:
            one = await complete(app, ask("Hello!"))
            three = await complete(app, ask("Hello!", n=3))
            assert three.usage.prompt_tokens == one.usage.prompt_tokens
            assert three.usage.generated_tokens == 3 * one.usage.generated_tokens

    asyncio.run(main())


def test_which_text_has_stopped_it_is_told(tmp_path: Path) -> None:
    async def main() -> None:
        async with running(tmp_path) as app:
            request = ask("What is the capital of France?", stop=["Rome", "France is"])
            found = await complete(app, request)
            answer = found.choices[0]
            assert answer.message.content == "The capital of "
            assert (answer.finish, answer.stopped_by) == ("stop", "France is")
            assert found.usage.prompt_tokens == 13
            assert 0 < found.usage.generated_tokens < 11
            again = await complete(app, request)
            assert again.usage.cached_tokens > 5

    asyncio.run(main())


def test_schemas_are_kept_to(tmp_path: Path) -> None:
    schema = {
        "type": "object",
        "properties": {
            "level": {"enum": ["info", "error"]},
            "count": {"type": "integer", "minimum": 0, "maximum": 99},
        },
        "required": ["level", "count"],
        "additionalProperties": False,
    }

    async def main() -> None:
        async with running(tmp_path) as app:
            found = await complete(app, ask("Hello!", json_schema=schema, max_tokens=100))
            said = json.loads(found.choices[0].message.content)
            assert said["level"] in ("info", "error")
            assert isinstance(said["count"], int)

    asyncio.run(main())


def test_a_schema_with_tools_still_lets_tools_be_called(tmp_path: Path) -> None:
    """A schema holds what is said, not calls: those have schemas of their own."""

    async def main() -> None:
        async with running(tmp_path) as app:
            request = ask(
                "What is the weather in Paris?",
                tools=[WEATHER],
                tool_choice="required",
                json_schema={"type": "object"},
            )
            answer = (await complete(app, request)).choices[0]
            assert answer.finish == "tool_calls"

    asyncio.run(main())
