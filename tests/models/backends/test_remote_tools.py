"""Tools, thoughts, images and usage through the protocols of remote models."""

import json

import msgspec
import pytest

from sensorium.core.conversation import ImagePart, Message, ToolCall, tool_calls
from sensorium.core.errors import NotSupportedError
from tests.models.backends.contract import artifact, load
from tests.models.backends.scripted_server import (
    END,
    NDJSON,
    SSE,
    chunk,
    delta,
    event,
    scripted,
    whole,
)
from tests.models.backends.text_contract import generated, text_of

PNG = b"\x89PNG\r\n\x1a\n"
TOOL = {"name": "weather", "description": "Of now.", "parameters": {"type": "object"}}
FUNCTION = {"type": "function", "function": TOOL}
ASK = [{"role": "user", "content": "Weather?"}]
DONE = [chunk(b"data: [DONE]\n\n"), END]


@pytest.fixture
def server():
    with scripted() as told:
        yield told


@pytest.fixture
def remote(tmp_path, server):
    loaded = []

    def make(protocol="openai", more=""):
        path = tmp_path / "remote.toml"
        base = server.url + ("/v1" if protocol == "openai" else "")
        path.write_text(
            f'url = "{base}"\nprotocol = "{protocol}"\nmodel = "m"\ntimeout_s = 2\n{more}'
        )
        loaded.append(load(artifact(path, "remote")))
        return loaded[-1]

    yield make
    for each in loaded:
        each.close()


def calls_of(pieces):
    return tool_calls([part for piece in pieces for part in piece.tool_calls])


def part(index, id=None, name=None, arguments=None):
    return {"index": index, "id": id, "function": {"name": name, "arguments": arguments}}


def test_a_tool_is_called_in_openais_protocol(remote, server):
    server.script = [
        SSE,
        delta(role="assistant", content=None, reasoning_content="I should "),
        delta(reasoning="look."),
        delta(tool_calls=[part(0, "c1", "weather", "")]),
        delta(tool_calls=[part(0, None, None, '{"city": ')]),
        delta(tool_calls=[part(0, None, None, '"Rome"}'), part(1, "c2", "weather", "{}")]),
        delta("tool_calls"),
        event(
            {
                "choices": [],
                "usage": {
                    "prompt_tokens": 50,
                    "completion_tokens": 12,
                    "prompt_tokens_details": {"cached_tokens": 32},
                },
            }
        ),
        *DONE,
    ]
    pieces = generated(remote(), messages=ASK, tools=[TOOL], tool_choice="weather")
    assert calls_of(pieces) == [
        ToolCall(id="c1", name="weather", arguments='{"city": "Rome"}'),
        ToolCall(id="c2", name="weather", arguments="{}"),
    ]
    assert "".join(each.reasoning for each in pieces) == "I should look."
    last = pieces[-1]
    assert (last.finish, last.prompt_tokens, last.cached_tokens) == ("tool_calls", 50, 32)
    assert last.generated_tokens == 12
    body = server.asked[-1][1]
    assert body["tools"] == [FUNCTION]
    assert body["tool_choice"] == {"type": "function", "function": {"name": "weather"}}


def test_servers_that_count_calls_otherwise(remote, server):
    server.script = [
        SSE,
        delta(tool_calls=[{"function": {"name": "a", "arguments": "{}"}}]),
        delta(tool_calls=[part(0, "x", "b", "{")]),
        delta(tool_calls=[part(0, "x", None, "}")]),
        delta(tool_calls=[part(0, "y", "c", "{}")]),
        delta("stop"),
        *DONE,
    ]
    pieces = generated(remote(), messages=ASK, tools=[TOOL])
    found = calls_of(pieces)
    assert [(each.name, each.arguments) for each in found] == [
        ("a", "{}"),
        ("b", "{}"),
        ("c", "{}"),
    ]
    assert found[0].id.startswith("call_")
    assert [each.id for each in found[1:]] == ["x", "y"]
    assert pieces[-1].finish == "tool_calls"


def test_what_was_called_before_is_told(remote, server):
    server.script = whole(delta(content="Sunny."))
    said = [
        Message(role="user", content="See: ", images=[ImagePart(data=PNG, at=5)]),
        Message(
            role="assistant",
            reasoning="hm",
            tool_calls=[ToolCall(id="c1", name="weather", arguments='{"city":"Rome"}')],
        ),
        Message(role="tool", content="sunny", tool_call_id="c1", name="weather"),
    ]
    plain = msgspec.to_builtins(said)
    pieces = generated(remote(), messages=plain)
    assert text_of(pieces) == "Sunny."
    first, second, third = server.asked[-1][1]["messages"]
    assert [each["type"] for each in first["content"]] == ["text", "image_url"]
    assert second["tool_calls"][0]["function"]["arguments"] == '{"city":"Rome"}'
    assert "reasoning_content" not in second
    assert third["tool_call_id"] == "c1"
    generated(remote(more="extended = true"), messages=plain)
    assert server.asked[-1][1]["messages"][1]["reasoning_content"] == "hm"
    server.script = [NDJSON, chunk(b'{"message": {"content": "S"}, "done": true}\n'), END]
    generated(remote("ollama"), messages=plain)
    first, second, third = server.asked[-1][1]["messages"]
    assert first["images"] == ["iVBORw0KGgo="]
    assert (second["thinking"], third["tool_name"]) == ("hm", "weather")
    assert second["tool_calls"][0]["function"]["arguments"] == {"city": "Rome"}


def test_a_tool_is_called_in_ollamas_protocol(remote, server):
    call = {"function": {"name": "weather", "arguments": {"city": "Rome"}}}
    lines = [
        {"message": {"role": "assistant", "content": "", "thinking": "hm"}, "done": False},
        {"message": {"content": "", "tool_calls": [call]}, "done": False},
        {"message": {"content": "", "tool_calls": [call]}, "done": False},
        {"message": {"content": ""}, "done": True, "done_reason": "stop", "eval_count": 7},
    ]
    server.script = [NDJSON, *(chunk(json.dumps(each).encode() + b"\n") for each in lines), END]
    model = remote("ollama")
    pieces = generated(model, messages=ASK, tools=[TOOL])
    first, second = calls_of(pieces)
    assert first.id != second.id
    assert (first.name, json.loads(first.arguments)) == ("weather", {"city": "Rome"})
    assert "".join(each.reasoning for each in pieces) == "hm"
    assert (pieces[-1].finish, pieces[-1].generated_tokens) == ("tool_calls", 7)
    assert server.asked[-1][1]["tools"] == [FUNCTION]
    with pytest.raises(NotSupportedError, match="must be called"):
        generated(model, messages=ASK, tools=[TOOL], tool_choice="required")
    link = {"role": "user", "images": [{"url": "https://host/a.png"}]}
    with pytest.raises(NotSupportedError, match="no addresses"):
        generated(model, messages=[link])


def test_which_stop_text_ended_it_is_told(remote, server):
    end = {"choices": [{"delta": {}, "finish_reason": "stop", "stop_reason": "END"}]}
    server.script = [SSE, delta(content="a"), event(end), *DONE]
    assert generated(remote(), messages=ASK, stop=["END"])[-1].stopped_by == "END"
