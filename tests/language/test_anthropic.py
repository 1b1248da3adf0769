"""Anthropic's own client, at the HTTP door."""

import base64
import gzip
import json
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import anthropic
import httpx
import pytest

from sensorium.capabilities.language.schema import Answer, Chunk, ConversationResponse, Told, Usage
from sensorium.control.keys import KeyStore
from sensorium.core.conversation import Message, ToolCall, ToolCallPart
from sensorium.core.errors import OverloadedError, SensoriumError, UnavailableError
from tests.faults.observing import in_flight, until
from tests.language.scripted import TOLD, Script, scripted
from tests.servers import Server, serving

QUESTION = {"role": "user", "content": "What is the capital of France?"}
GREEDY = {"temperature": 0}
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\nand so on").decode()
WEATHER = {
    "name": "get_weather",
    "description": "The weather.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
}


def client(url: str, **options: Any) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=url, **{"api_key": "any", "max_retries": 0, **options})


@pytest.fixture(scope="module")
def asked(server: Server) -> Iterator[anthropic.Anthropic]:
    with client(server.url) as found:
        yield found


@pytest.fixture
def played() -> Iterator[tuple[Script, anthropic.Anthropic]]:
    with scripted() as (script, url), client(url) as found:
        yield script, found


def create(found: anthropic.Anthropic, **more: Any) -> Any:
    usual = {"model": "tinylm", "max_tokens": 40, "messages": [QUESTION], "extra_body": GREEDY}
    return found.messages.create(**{**usual, **more})


def posted(url: str, body: dict[str, Any] | bytes, **headers: str) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return httpx.post(f"{url}/v1/messages", content=content, headers=headers, timeout=30)


def events(text: str) -> list[dict[str, Any]]:
    """The events of a stream, whose names are those of their data."""
    found = []
    for block in text.strip().split("\n\n"):
        name, data = block.split("\n")
        found.append(json.loads(data.removeprefix("data: ")))
        assert name == f"event: {found[-1]['type']}"
    return found


def test_a_message(asked: anthropic.Anthropic) -> None:
    found = create(asked)
    assert found.content[0].text == "The capital of France is Paris."
    assert (found.role, found.type, found.model) == ("assistant", "message", "tinylm")
    assert (found.stop_reason, found.stop_sequence) == ("end_turn", None)
    assert found.usage.input_tokens + found.usage.cache_read_input_tokens == 13
    assert found.usage.output_tokens > 0
    assert found._request_id == found.id.removeprefix("msg_")


def test_it_ends_at_its_limit_or_a_sequence(asked: anthropic.Anthropic) -> None:
    assert create(asked, max_tokens=2).stop_reason == "max_tokens"
    assert create(asked, stop_sequences=[" of"]).content[0].text == "The capital"


def test_the_sequence_is_told(played: tuple[Script, anthropic.Anthropic]) -> None:
    script, found = played
    said = Answer(message=Message(role="a", content="x"), finish="stop", stopped_by="END")
    script.whole = ConversationResponse(choices=[said])
    script.chunks = [Chunk(text="x"), Chunk(finish="stop", stopped_by="END"), TOLD]
    whole = create(found, stop_sequences=["END"])
    with found.messages.stream(model="m", max_tokens=9, messages=[QUESTION]) as stream:
        streamed = stream.get_final_message()
    for each in (whole, streamed):
        assert (each.stop_reason, each.stop_sequence) == ("stop_sequence", "END")


def test_a_stream_is_the_same_as_the_whole(asked: anthropic.Anthropic) -> None:
    blocks = [{"type": "text", "text": QUESTION["content"], "cache_control": {"type": "ephemeral"}}]
    system = [{"type": "text", "text": "Be brief."}]
    asking = {"system": system, "messages": [{"role": "user", "content": blocks}]}
    whole = create(asked, **asking)
    with asked.messages.stream(
        model="tinylm", max_tokens=40, extra_body=GREEDY, **asking
    ) as stream:
        text = "".join(stream.text_stream)
        found = stream.get_final_message()
    assert text == found.content[0].text == whole.content[0].text
    assert found.usage.output_tokens == whole.usage.output_tokens
    assert found.stop_reason == whole.stop_reason


def test_the_events_come_in_their_order(server: Server) -> None:
    body = {"model": "tinylm", "max_tokens": 20, "messages": [QUESTION], "stream": True, **GREEDY}
    answer = posted(server.url, body, **{"anthropic-version": "2023-06-01"})
    assert answer.headers["content-type"] == "text/event-stream"
    assert answer.headers["request-id"] == answer.headers["x-request-id"]
    kinds = [each["type"] for each in events(answer.text)]
    assert kinds[:3] == ["message_start", "content_block_start", "ping"]
    assert set(kinds[3:-3]) == {"content_block_delta"}
    assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"]


def test_tokens_are_counted(asked: anthropic.Anthropic) -> None:
    found = asked.messages.count_tokens(model="tinylm", messages=[QUESTION])
    more = asked.messages.count_tokens(model="tinylm", messages=[QUESTION], system="Be brief.")
    assert 0 < found.input_tokens < more.input_tokens


@pytest.mark.parametrize("choice", ["auto", "none"])
def test_as_many_are_counted_as_are_read(choice: str, asked: anthropic.Anthropic) -> None:
    with_tools: Any = {"tools": [WEATHER], "tool_choice": {"type": choice}}
    counted = asked.messages.count_tokens(model="tinylm", messages=[QUESTION], **with_tools)
    took = create(asked, **with_tools).usage
    assert counted.input_tokens == took.input_tokens + took.cache_read_input_tokens


def test_models_are_told_in_the_words_of_who_asks(
    server: Server, asked: anthropic.Anthropic
) -> None:
    listed = {each.id: each for each in asked.models.list(limit=1)}
    for name in ("tinylm", "default"):
        assert asked.models.retrieve(name) == listed[name]
        assert (listed[name].type, listed[name].display_name) == ("model", name)
    others = httpx.get(f"{server.url}/v1/models").json()
    assert others["object"] == "list"
    assert {each["id"] for each in others["data"]} == listed.keys()
    headers = {"anthropic-version": "2023-06-01"}
    answer = httpx.delete(f"{server.url}/v1/models/tinylm", headers=headers)
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")
    assert answer.json()["request_id"] == answer.headers["request-id"]


@pytest.mark.parametrize("older", [False, True])
def test_a_schema_holds_the_answer(older: bool, asked: anthropic.Anthropic) -> None:
    schema = {"type": "object", "properties": {"n": {"enum": [1, 2]}}, "required": ["n"]}
    schema["additionalProperties"] = False
    held = {"type": "json_schema", "schema": schema}
    more = {"output_format": held} if older else {"output_config": {"format": held}}
    found = create(asked, extra_body={**GREEDY, **more})
    assert json.loads(found.content[0].text)["n"] in (1, 2)


def test_what_was_said_arrives(played: tuple[Script, anthropic.Anthropic]) -> None:
    script, found = played
    script.whole = ConversationResponse(choices=[Answer(message=Message(role="a"), finish="stop")])
    picture = {
        "type": "image",
        "source": {"type": "base64", "media_type": "image/png", "data": PNG},
    }
    far = {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}
    use = {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {"city": "Paris"}}
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "rain"}
    failed = {
        "type": "tool_result",
        "tool_use_id": "toolu_1",
        "is_error": True,
        "content": [{"type": "text", "text": "no rain"}, picture],
    }
    said = {"type": "text", "text": "one"}
    thought = {"type": "thinking", "thinking": "hm", "signature": ""}
    hidden = {"type": "redacted_thinking", "data": "x"}
    messages = [
        {"role": "user", "content": [said, picture, {"type": "text", "text": "two"}, far]},
        {"role": "assistant", "content": [thought, hidden, said, use]},
        {"role": "user", "content": [result, failed, said]},
    ]
    create(
        found,
        messages=messages,
        system=[said, said],
        tools=[WEATHER],
        tool_choice={"type": "tool", "name": "get_weather"},
        stop_sequences=["x"],
        metadata={"user_id": "u"},
        extra_body={"top_k": 3, "top_p": 0.5, "temperature": 0.25},
    )
    got = script.last("chat.complete")
    data = base64.b64decode(PNG)
    call = {"id": "toolu_1", "name": "get_weather", "arguments": '{"city":"Paris"}'}
    answer = {"role": "tool", "tool_call_id": "toolu_1", "name": "get_weather"}
    assert got["messages"] == [
        {"role": "system", "content": "one\n\none"},
        {
            "role": "user",
            "content": "one\ntwo",
            "images": [{"data": data, "at": 3}, {"url": "https://example.com/a.png", "at": 7}],
        },
        {"role": "assistant", "content": "one", "reasoning": "hm", "tool_calls": [call]},
        {**answer, "content": "rain"},
        {**answer, "content": "Error: no rain", "images": [{"data": data, "at": 14}]},
        {"role": "user", "content": "one"},
    ]
    assert got["tools"][0]["parameters"] == WEATHER["input_schema"]
    assert (got["tool_choice"], got["stop"], got["max_tokens"]) == ("get_weather", ["x"], 40)
    assert (got["top_k"], got["top_p"], got["temperature"]) == (3, 0.5, 0.25)


@pytest.mark.parametrize(("theirs", "ours"), [("auto", "auto"), ("any", "required"), ("none",) * 2])
def test_tool_choice(theirs: str, ours: str, played: tuple[Script, anthropic.Anthropic]) -> None:
    script, found = played
    script.whole = ConversationResponse(choices=[Answer(message=Message(role="a"), finish="stop")])
    create(found, tools=[WEATHER], tool_choice={"type": theirs})
    got = script.last("chat.complete")
    assert (got["tool_choice"], got["parallel_tools"]) == (ours, True)


def test_one_call_at_most(played: tuple[Script, anthropic.Anthropic]) -> None:
    script, found = played
    script.whole = ConversationResponse(choices=[Answer(message=Message(role="a"), finish="stop")])
    create(found, tools=[WEATHER], tool_choice={"type": "auto", "disable_parallel_tool_use": True})
    assert script.last("chat.complete")["parallel_tools"] is False


def test_a_call_of_nothing(played: tuple[Script, anthropic.Anthropic]) -> None:
    script, found = played
    script.whole = ConversationResponse(choices=[Answer(message=Message(role="a"), finish="stop")])
    use = {"type": "tool_use", "id": "c1", "name": "look", "input": None}
    create(found, messages=[QUESTION, {"role": "assistant", "content": [use]}])
    call = {"id": "c1", "name": "look", "arguments": "{}"}
    assert script.last("chat.complete")["messages"][1]["tool_calls"] == [call]


def test_calls_whose_parts_come_by_turns(played: tuple[Script, anthropic.Anthropic]) -> None:
    script, found = played
    parts = [
        ToolCallPart(index=0, id="c1", name="look", arguments='{"a":'),
        ToolCallPart(index=1, id="c2", name="look", arguments='{"b":'),
        ToolCallPart(index=0, arguments="1}"),
        ToolCallPart(index=1, arguments="2}"),
    ]
    script.chunks = [*(Chunk(tool_calls=[each]) for each in parts), TOLD]
    asking = {"model": "m", "max_tokens": 9, "messages": [QUESTION]}
    told = events(posted(str(found.base_url).rstrip("/"), {**asking, "stream": True}).text)
    blocks = [(each["type"], each["index"]) for each in told if "index" in each]
    assert [each for each, _ in groupby(blocks)] == [
        (f"content_block_{part}", index) for index in (0, 1) for part in ("start", "delta", "stop")
    ]
    assert blocks.count(("content_block_delta", 0)) == 2  # as it is written
    with found.messages.stream(**asking) as stream:
        calls = stream.get_final_message().content
    assert [(each.id, each.input) for each in calls] == [("c1", {"a": 1}), ("c2", {"b": 2})]


def test_thoughts_and_calls_of_tools(played: tuple[Script, anthropic.Anthropic]) -> None:
    script, found = played
    calls = [
        ToolCall(id="c1", name="get_weather", arguments='{"city":"Paris"}'),
        ToolCall(id="c2", name="get_weather", arguments="{broken"),
    ]
    said = Message(role="assistant", content="Look.", reasoning="Hm.", tool_calls=calls)
    told = Usage(prompt_tokens=9, cached_tokens=4, generated_tokens=5)
    script.whole = ConversationResponse(
        choices=[Answer(message=said, finish="tool_calls")], usage=told
    )
    thinks = {"type": "enabled", "budget_tokens": 1024}
    answer = create(found, tools=[WEATHER], thinking=thinks)
    assert [each.type for each in answer.content] == ["thinking", "text", "tool_use", "tool_use"]
    assert answer.content[2].input == {"city": "Paris"}
    assert answer.content[3].input == {"unreadable": "{broken"}
    assert answer.stop_reason == "tool_use"
    assert (answer.usage.input_tokens, answer.usage.cache_read_input_tokens) == (5, 4)
    assert create(found, tools=[WEATHER]).content[0].type == "text"

    script.chunks = [
        Chunk(reasoning="H"),
        Chunk(reasoning="m."),
        Chunk(text="Look."),
        Chunk(tool_calls=[ToolCallPart(index=0, id="c1", name="get_weather", arguments='{"ci')]),
        Chunk(tool_calls=[ToolCallPart(index=0, arguments='ty":"Paris"}')]),
        Chunk(tool_calls=[ToolCallPart(index=1, id="c2", name="get_weather", arguments="{}")]),
        Chunk(finish="tool_calls"),
        Chunk(told=Told(usage=told)),
    ]
    with found.messages.stream(
        model="m", max_tokens=9000, messages=[QUESTION], tools=[WEATHER], thinking=thinks
    ) as stream:
        streamed = stream.get_final_message()
    assert streamed.content[0] == answer.content[0]
    assert streamed.content[1].text == "Look."
    assert streamed.content[2] == answer.content[2]
    assert (streamed.content[3].id, streamed.content[3].input) == ("c2", {})
    assert (streamed.stop_reason, streamed.usage.input_tokens) == ("tool_use", 5)
    assert streamed.usage.cache_read_input_tokens == 4


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"max_tokens": "x"}, "max_tokens: Expected `int`"),
        ({"max_tokens": 0}, "max_tokens: Expected `int` >= 1"),
        ({"temperature": 9}, "temperature: Expected `float` <= 5"),
        ({"messages": []}, "messages: Expected `array` of length >= 1"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0].role"),
        (
            {"messages": [{"role": "user", "content": [{"type": "video"}]}]},
            "messages[0].content[0]",
        ),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "field `text`"),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "tools: there is no"),
        ({"tool_choice": {"type": "tool"}}, "tool_choice.name"),
        ({"tool_choice": {"type": "any"}}, "there is none"),
        ({"stop_sequences": "x"}, "stop_sequences: Expected `array"),
        ({"stop_sequences": ["x"] * 17}, "stop_sequences: Expected `array"),
        ({"mcp_servers": [{"type": "url", "url": "https://x", "name": "x"}]}, "mcp_servers: "),
    ],
)
def test_what_is_wrong_is_said(more: dict[str, Any], says: str, server: Server) -> None:
    usual = {"model": "tinylm", "max_tokens": 4, "messages": [QUESTION], "no_such_field": [1]}
    for stream in (False, True):
        answer = posted(server.url, {**usual, **more, "stream": stream})
        body = answer.json()
        assert (answer.status_code, body["type"]) == (400, "error")
        assert body["error"]["type"] == "invalid_request_error"
        assert says in body["error"]["message"]
        assert body["request_id"] == answer.headers["request-id"]


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ({"type": "base64", "data": "!!"}, "not base64"),
        ({"type": "base64", "data": PNG[:-1] + "!"}, "base64"),
        ({"type": "base64", "data": base64.b64encode(b"%PDF-1.7 and").decode()}, "PNG, JPEG"),
        ({"type": "url", "url": "file:///etc/passwd"}, "begins with https:"),
        ({"type": "url", "url": f"https://example.com/{'x' * 9000}"}, "begins with https:"),
        ({"type": "file", "file_id": "f"}, "source.type"),
    ],
)
def test_what_is_no_picture_is_refused(source: dict[str, str], says: str, server: Server) -> None:
    content = [{"type": "image", "source": source}]
    body = {"model": "tinylm", "max_tokens": 4, "messages": [{"role": "user", "content": content}]}
    answer = posted(server.url, body)
    assert answer.status_code == 400
    assert "messages[0]" in answer.json()["error"]["message"]
    assert says in answer.json()["error"]["message"]


def test_what_is_no_json_or_too_much(server: Server, asked: anthropic.Anthropic) -> None:
    for body in (b"{", b"", b"\xff\xfe", b"[" * 100_000):
        answer = posted(server.url, body)
        assert (answer.status_code, answer.json()["type"]) == (400, "error")
    for size in (10_000_000, 40_000_000):
        long = {"role": "user", "content": "x" * size}
        with pytest.raises(anthropic.APIStatusError) as raised:
            create(asked, messages=[long])
        assert raised.value.status_code in (400, 413)
    with pytest.raises(anthropic.BadRequestError, match="context"):
        create(asked, messages=[{"role": "user", "content": "x" * 5000}])
    assert create(asked).content


def test_a_compressed_body(server: Server) -> None:
    body = json.dumps({"model": "tinylm", "max_tokens": 9, "messages": [QUESTION]}).encode()
    for coding in ("gzip", "x-gzip"):
        answer = posted(server.url, gzip.compress(body), **{"content-encoding": coding})
        assert answer.json()["content"]
    bomb = gzip.compress(b" " * (100 << 20))
    for data, coding, status in (
        (bomb, "gzip", 413),
        (body, "gzip", 400),
        (body, "br", 400),
    ):
        answer = posted(server.url, data, **{"content-encoding": coding})
        assert (answer.status_code, answer.json()["type"]) == (status, "error")


def test_a_body_of_unknown_length(server: Server) -> None:
    def pieces(size: int) -> Iterator[bytes]:
        yield b'{"model": "tinylm", "max_tokens": 9, "messages": '
        yield b'[{"role": "user", "content": "Hello'
        for _ in range(size):
            yield b"x" * 1000
        yield b'"}]}'

    for size, said in ((0, "message"), (40_000, "error")):
        url = f"{server.url}/v1/messages"
        try:
            answer = httpx.post(url, content=pieces(size), timeout=30)
        except (httpx.WriteError, httpx.ReadError):  # it was refused before it had come whole
            assert size
            continue
        assert answer.json()["type"] == said


def test_addresses_that_are_not_there(server: Server, asked: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.NotFoundError, match="no-such"):
        create(asked, model="no-such")
    with pytest.raises(anthropic.NotFoundError, match="count_tokens"):
        asked.messages.batches.list()
    with pytest.raises(anthropic.NotFoundError, match="no-such"):
        asked.models.retrieve("no-such")
    answer = httpx.get(f"{server.url}/v1/messages")
    assert (answer.status_code, answer.json()["type"]) == (405, "error")


def test_keys(tmp_path: Path) -> None:
    store = KeyStore(tmp_path)
    _, narrow = store.create("narrow", ("system.*",))
    _, seldom = store.create("seldom", ("*",), 0.001)
    with serving(environ={"SENSORIUM_DATA_DIR": str(tmp_path)}) as own:
        with (
            client(own.url, api_key="wrong") as found,
            pytest.raises(anthropic.AuthenticationError),
        ):
            create(found)
        keyless = posted(own.url, {"model": "tinylm", "max_tokens": 4, "messages": [QUESTION]})
        assert (keyless.status_code, keyless.json()["type"]) == (401, "error")
        with (
            client(own.url, api_key=narrow) as found,
            pytest.raises(anthropic.PermissionDeniedError, match="may not call"),
        ):
            create(found)
        with client(own.url, api_key=None, auth_token=seldom) as found:
            assert create(found).content
            with pytest.raises(anthropic.RateLimitError) as limited:
                create(found)
        assert int(limited.value.response.headers["retry-after"]) > 1
        assert limited.value.type == "rate_limit_error"


@pytest.mark.parametrize(
    ("error", "kind", "name"),
    [
        (OverloadedError("full", retry_after_s=2), anthropic.OverloadedError, "overloaded_error"),
        (SensoriumError("broken"), anthropic.InternalServerError, "api_error"),
        (UnavailableError("gone"), anthropic.ServiceUnavailableError, "api_error"),
    ],
)
def test_errors_have_their_class(
    error: Exception,
    kind: type[anthropic.APIStatusError],
    name: str,
    played: tuple[Script, anthropic.Anthropic],
) -> None:
    script, found = played
    script.whole = error
    with pytest.raises(kind) as raised:
        create(found)
    assert raised.value.type == name


def test_an_error_in_the_middle_of_a_stream(played: tuple[Script, anthropic.Anthropic]) -> None:
    script, found = played
    script.chunks = [Chunk(text="so far"), SensoriumError("the model died")]
    with found.messages.stream(model="m", max_tokens=9, messages=[QUESTION]) as stream:
        assert next(stream.text_stream) == "so far"
        with pytest.raises(anthropic.APIStatusError, match="the model died") as raised:
            stream.get_final_message()
    assert raised.value.type == "api_error"


def test_whoever_leaves_frees_the_slot(played: tuple[Script, anthropic.Anthropic]) -> None:
    script, found = played
    script.chunks = [Chunk(text="and then nothing")]
    with found.messages.stream(model="m", max_tokens=9, messages=[QUESTION]) as stream:
        assert next(stream.text_stream) == "and then nothing"
    assert script.left.wait(30)


def test_no_call_is_left_behind(server: Server, asked: anthropic.Anthropic) -> None:
    story = [{"role": "user", "content": "Tell me a story about a fox."}]
    with asked.messages.stream(model="tinylm", max_tokens=200, messages=story) as stream:
        next(stream.text_stream)
    with server.client() as http:
        until(lambda: in_flight(http, "chat.stream") == 0, 2)
