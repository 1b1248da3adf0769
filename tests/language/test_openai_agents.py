"""What agents send to OpenAI's door beside the usual, and what the operation is asked then."""

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from sensorium.capabilities.language import schema
from sensorium.capabilities.language.schema import Chunk, ConversationResponse
from sensorium.core.conversation import Message, ToolCall, ToolCallPart
from sensorium.core.generation import Likely, Step
from sensorium.transports.http.compat.openai.responses import kept
from tests.language.openai_words import FRANCE, MODEL, PIXEL, TOOL, said
from tests.language.scripted import TOLD, Script, scripted

OTHER: Any = {"type": "function", "function": {"name": "get_time", "parameters": None}}
CHAT_TOOLS = [TOOL, OTHER]
TOOLS: Any = [{"type": "function", **each["function"]} for each in CHAT_TOOLS]
HOSTED: Any = [
    {"type": "web_search"},
    {"type": "local_shell"},
    {"type": "custom", "name": "apply_patch", "format": {"type": "text"}},
    {"type": "mcp", "server_label": "docs", "server_url": "http://127.0.0.1:9"},
]


@pytest.fixture(scope="module")
def played() -> Iterator[tuple[Script, openai.OpenAI]]:
    with (
        scripted() as (script, url),
        openai.OpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0) as client,
    ):
        yield script, client


@pytest.fixture
def script(played: tuple[Script, openai.OpenAI]) -> Script:
    """Answers `Hm.`, whole and streamed."""
    answer = schema.Answer(message=Message(role="assistant", content="Hm."), finish="stop")
    played[0].whole = ConversationResponse(model=MODEL, choices=[answer])
    played[0].chunks = [Chunk(text="Hm."), Chunk(finish="stop"), TOLD]
    return played[0]


@pytest.fixture
def client(played: tuple[Script, openai.OpenAI]) -> openai.OpenAI:
    return played[1]


def in_chat(script: Script, client: openai.OpenAI, **asked: Any) -> dict[str, Any]:
    """What the operation is asked for a conversation."""
    client.post(
        "/chat/completions",
        body={"model": MODEL, "messages": said(FRANCE), **asked},
        cast_to=object,
    )
    return script.last("chat.complete")


def in_response(script: Script, client: openai.OpenAI, **asked: Any) -> dict[str, Any]:
    """The same for a response."""
    client.post("/responses", body={"model": MODEL, "input": FRANCE, **asked}, cast_to=object)
    return script.last("chat.complete")


def named(asked: dict[str, Any]) -> list[str]:
    return [each["name"] for each in asked["tools"]]


def test_tools_that_no_model_here_can_call_are_left_out(
    script: Script, client: openai.OpenAI
) -> None:
    found = client.responses.create(model=MODEL, input=FRANCE, tools=[*HOSTED, TOOLS[0]])
    assert named(script.last("chat.complete")) == ["get_weather"]
    assert [each.type for each in found.tools] == ["function"]
    for kind in ("web_search", "custom"):
        with pytest.raises(openai.BadRequestError) as caught:
            in_response(script, client, tools=HOSTED, tool_choice={"type": kind, "name": "x"})
        assert caught.value.param == "tool_choice"
    with pytest.raises(openai.BadRequestError) as caught:
        in_response(script, client, tools=[{"type": "function"}])
    assert caught.value.param == "tools[0].name"


def test_what_another_model_called_is_told(script: Script, client: openai.OpenAI) -> None:
    items = [
        {"role": "user", "content": "Mend it."},
        {"type": "custom_tool_call", "call_id": "c", "name": "apply_patch", "input": '*** "a"'},
        {"type": "custom_tool_call_output", "call_id": "c", "output": "done"},
    ]
    _, call, result = in_response(script, client, input=items)["messages"]
    assert json.loads(call["tool_calls"][0]["arguments"]) == {"input": '*** "a"'}
    assert (result["role"], result["tool_call_id"], result["content"]) == ("tool", "c", "done")


def test_some_tools_are_allowed(script: Script, client: openai.OpenAI) -> None:
    for mode in ("auto", "required"):
        function = {"type": "function", "function": {"name": "get_time"}}
        some: Any = {"mode": mode, "tools": [function]}
        choice: Any = {"type": "allowed_tools", "allowed_tools": some}
        asked = in_chat(script, client, tools=CHAT_TOOLS, tool_choice=choice)
        assert (named(asked), asked["tool_choice"]) == (["get_time"], mode)
        flat: Any = {"mode": mode, "tools": [{"type": "function", "name": "get_time"}, *HOSTED]}
        choice = {"type": "allowed_tools", **flat}
        found = client.responses.create(model=MODEL, input=FRANCE, tools=TOOLS, tool_choice=choice)
        asked = script.last("chat.complete")
        assert (named(asked), asked["tool_choice"]) == (["get_time"], mode)
        assert found.to_dict()["tool_choice"]["mode"] == mode


def test_a_tool_is_chosen(script: Script, client: openai.OpenAI) -> None:
    choice: Any = {"type": "function", "function": {"name": "get_time"}}
    asked = in_chat(script, client, tools=CHAT_TOOLS, tool_choice=choice)
    assert asked["tool_choice"] == "get_time"
    choice = {"type": "function", "name": "get_time"}
    asked = in_response(script, client, tools=TOOLS, tool_choice=choice)
    assert asked["tool_choice"] == "get_time"
    for ask in (in_chat, in_response):
        with pytest.raises(openai.BadRequestError, match="names no function") as caught:
            ask(script, client, tool_choice={"type": "function"})
        assert caught.value.param == "tool_choice"


@pytest.mark.parametrize("given", [None, True, False])
def test_one_call_at_most(script: Script, client: openai.OpenAI, given: bool | None) -> None:
    several = given is not False
    asked = in_chat(script, client, tools=CHAT_TOOLS, parallel_tool_calls=given)
    assert asked["parallel_tools"] is several
    found = client.responses.create(
        model=MODEL, input=FRANCE, tools=TOOLS, parallel_tool_calls=given
    )
    assert script.last("chat.complete")["parallel_tools"] is several
    assert found.parallel_tool_calls is several


def test_nulls_of_what_was_dumped_and_pictures_as_both_interfaces_have_them(
    script: Script, client: openai.OpenAI
) -> None:
    parts = [
        {"type": "text", "text": "See ", "refusal": None, "image_url": None},
        {"type": "image_url", "text": None, "image_url": {"url": PIXEL}},
        {"type": "image_url", "image_url": PIXEL},
        {"type": "input_image", "image_url": PIXEL},
        {"type": "input_text", "text": "there", "refusal": None},
    ]
    content = [{"role": "user", "content": parts}]
    tools: Any = [{**TOOL, "type": None}]
    for asked in (
        in_chat(script, client, messages=content, tools=tools),
        in_response(script, client, input=content),
    ):
        (message,) = asked["messages"]
        assert message["content"] == "See there"
        assert [each["at"] for each in message["images"]] == [4, 4, 4]


@pytest.mark.parametrize("ask", [in_chat, in_response])
def test_how_it_is_made(script: Script, client: openai.OpenAI, ask: Any) -> None:
    asked = ask(script, client)
    assert (asked["temperature"], asked["top_p"], asked["max_tokens"]) == (1.0, 1.0, 4096)
    given = {"top_k": -1, "temperature": 0, "top_p": None, "seed": -1, "stop": "x"}
    asked = ask(script, client, **given)
    assert (asked["top_k"], asked["temperature"], asked["top_p"]) == (0, 0, 1)
    assert (asked["seed"], asked["stop"]) == (2**32 - 1, ["x"])
    assert ask(script, client, top_k=7)["top_k"] == 7


def step(text: str) -> Step:
    return Step(chosen=Likely(token=1, text=text, logprob=-0.5), top=[])


@pytest.mark.parametrize("calls", [False, True])
def test_likelihoods_that_come_after_the_text_are_told(
    script: Script, client: openai.OpenAI, calls: bool
) -> None:
    """Of its last tokens, whose text came before, or is none; and of a call's."""
    steps = [step("Hm"), step("."), step("</s>")]
    part = ToolCallPart(id="c", name="f", arguments="{}")
    script.chunks = [
        Chunk(text="Hm.", steps=steps[:1]),
        Chunk(steps=steps[1:], tool_calls=[part] if calls else [], finish="stop"),
        TOLD,
    ]
    call = [ToolCall(id="c", name="f")] if calls else []
    message = Message(role="assistant", content="Hm.", tool_calls=call)
    answer = schema.Answer(message=message, finish="stop", steps=steps)
    script.whole = ConversationResponse(model=MODEL, choices=[answer])
    asked: Any = {"model": MODEL, "input": FRANCE, "include": ["message.output_text.logprobs"]}
    whole: Any = client.responses.create(**asked)
    with client.responses.stream(**asked) as stream:
        streamed: Any = stream.get_final_response()
    for found in (whole, streamed):
        told = found.output[0].content[0].logprobs
        assert [each.token for each in told] == ["Hm", ".", "</s>"]
        assert len(found.output) == 1 + calls


@pytest.mark.parametrize("stream", [False, True])
def test_a_response_that_is_too_large_to_keep_says_so(
    script: Script, client: openai.OpenAI, stream: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "MAX_EACH", 3000)
    assert script.chunks

    def store(text: str) -> tuple[str, bool]:
        found: Any = client.responses.create(model=MODEL, input=text, stream=stream)
        if stream:
            found = list(found)[-1].response
        return found.id, found.to_dict()["store"]

    id_, is_kept = store("small")
    assert is_kept
    assert client.responses.retrieve(id_).id == id_
    id_, is_kept = store("large" * 1000)
    assert not is_kept
    with pytest.raises(openai.BadRequestError, match="MiB each"):
        client.responses.create(model=MODEL, input="x", previous_response_id=id_)
