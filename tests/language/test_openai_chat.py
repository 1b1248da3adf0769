"""OpenAI's conversations, asked with its own client."""

from collections.abc import Iterator
from typing import Any

import openai
import pydantic
import pytest

from tests.language.openai_words import (
    FRANCE,
    GREEDY,
    MODEL,
    PARIS,
    PIXEL,
    TOOL,
    WEATHER,
    connect,
    said,
)
from tests.servers import Server, serving


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[openai.OpenAI]:
    with connect(server) as made:
        yield made


class Category(pydantic.BaseModel):
    category: str
    level: str
    service: str


def test_it_answers() -> None:
    """A server of its own: where half of a prompt is known, sums round otherwise."""
    with serving() as own, connect(own) as client:
        for prompt, expected in GREEDY.items():
            found = client.chat.completions.create(
                model=MODEL, messages=said(prompt), temperature=0, max_tokens=200
            )
            (choice,) = found.choices
            assert choice.message.content == expected["text"].strip()
            assert (choice.finish_reason, choice.message.role) == ("stop", "assistant")
            assert found.usage is not None
            assert found.usage.prompt_tokens > 0
            assert (
                found.usage.total_tokens
                == found.usage.prompt_tokens + found.usage.completion_tokens
            )
            assert found.model == MODEL
            assert found.id.startswith("chatcmpl-")


def test_a_stream_tells_the_same_and_ends_with_its_usage(client: openai.OpenAI) -> None:
    asked: Any = {"model": MODEL, "messages": said(FRANCE), "temperature": 0}
    chunks = list(
        client.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True})
    )
    *usual, last = chunks
    assert "".join(each.choices[0].delta.content or "" for each in usual) == PARIS
    assert usual[0].choices[0].delta.role == "assistant"
    assert usual[-1].choices[0].finish_reason == "stop"
    assert {each.choices[0].finish_reason for each in usual[:-1]} == {None}
    assert all(each.usage is None and "usage" in each.model_fields_set for each in usual)
    assert last.choices == []
    whole = client.chat.completions.create(**asked)
    assert last.usage is not None
    assert whole.usage is not None
    assert last.usage.completion_tokens == whole.usage.completion_tokens
    assert len({each.id for each in chunks}) == 1
    silent = list(client.chat.completions.create(**asked, stream=True))
    assert all("usage" not in each.model_fields_set and each.choices for each in silent)


def test_several_answers_whole_and_streamed(client: openai.OpenAI) -> None:
    asked: Any = {
        "model": MODEL,
        "messages": said("Tell me a story about a fox."),
        "n": 2,
        "seed": 11,
        "temperature": 1,
    }
    whole = client.chat.completions.create(**asked)
    assert [each.index for each in whole.choices] == [0, 1]
    texts = [each.message.content for each in whole.choices]
    assert texts[0] != texts[1]
    streamed = ["", ""]
    for chunk in client.chat.completions.create(**asked, stream=True):
        (choice,) = chunk.choices
        streamed[choice.index] += choice.delta.content or ""
    assert streamed == texts


def test_a_stop_ends_it_and_a_limit_does(client: openai.OpenAI) -> None:
    asked: Any = {"model": MODEL, "messages": said(FRANCE), "temperature": 0}
    for stop in (" France", [" France", "nothing"], ["", " France"]):
        found = client.chat.completions.create(**asked, stop=stop).choices[0]
        assert (found.message.content, found.finish_reason) == ("The capital of", "stop")
    for limit in ("max_tokens", "max_completion_tokens"):
        cut = client.chat.completions.create(**asked, **{limit: 2}).choices[0]
        assert (cut.message.content, cut.finish_reason) == ("The capital", "length")


def test_a_seed_makes_it_the_same_again(client: openai.OpenAI) -> None:
    def text(seed: int) -> str | None:
        return (
            client.chat.completions.create(
                model=MODEL, messages=said("Tell me a story."), seed=seed, temperature=1.5
            )
            .choices[0]
            .message.content
        )

    assert text(-5) == text(-5) != text(6)


@pytest.mark.parametrize("top", [0, 2])
def test_likelihoods_of_tokens(client: openai.OpenAI, top: int) -> None:
    asked: Any = {
        "model": MODEL,
        "messages": said(FRANCE),
        "temperature": 0,
        "logprobs": True,
        "top_logprobs": top,
    }
    whole = client.chat.completions.create(**asked).choices[0].logprobs
    assert whole is not None
    assert whole.content
    assert "".join(each.token for each in whole.content) == PARIS
    for each in whole.content:
        assert each.logprob <= 0
        assert bytes(each.bytes or []).decode() == each.token
        assert len(each.top_logprobs) == top
        assert not top or each.top_logprobs[0].token == each.token
    streamed = [
        token.token
        for chunk in client.chat.completions.create(**asked, stream=True)
        if (told := chunk.choices[0].logprobs) is not None
        for token in told.content or []
    ]
    assert streamed == [each.token for each in whole.content]


def test_an_answer_of_a_schema_is_parsed(client: openai.OpenAI) -> None:
    prompt = "Classify this log line as JSON: ERROR billing: connection refused to db1:5432"
    found = client.chat.completions.parse(
        model=MODEL, messages=said(prompt), temperature=0, response_format=Category
    )
    parsed = found.choices[0].message.parsed
    assert isinstance(parsed, Category)
    with client.chat.completions.stream(
        model=MODEL, messages=said(prompt), temperature=0, response_format=Category
    ) as stream:
        streamed = stream.get_final_completion().choices[0].message.parsed
    assert streamed == parsed
    free = client.chat.completions.create(
        model=MODEL,
        messages=said(prompt),
        temperature=0,
        response_format={"type": "json_object"},
    )
    assert pydantic.TypeAdapter(dict[str, Any]).validate_json(free.choices[0].message.content or "")


def test_a_tool_is_called(client: openai.OpenAI) -> None:
    found = client.chat.completions.create(
        model=MODEL,
        messages=said(WEATHER),
        tools=[TOOL],
        temperature=0,
        parallel_tool_calls=True,
    ).choices[0]
    assert found.finish_reason == "tool_calls"
    assert found.message.content is None
    (call,) = found.message.tool_calls or []
    assert call.type == "function"
    assert call.id
    assert (call.function.name, call.function.arguments) == ("get_weather", '{"city":"Paris"}')


def test_a_tool_is_called_within_a_stream(client: openai.OpenAI) -> None:
    with client.chat.completions.stream(
        model=MODEL, messages=said(WEATHER), tools=[TOOL], temperature=0
    ) as stream:
        final = stream.get_final_completion().choices[0]
    assert final.finish_reason == "tool_calls"
    (call,) = final.message.tool_calls or []
    assert (call.function.name, call.function.arguments) == ("get_weather", '{"city":"Paris"}')


def test_a_tools_result_is_told(client: openai.OpenAI) -> None:
    call = {
        "id": "call_1",
        "type": "function",
        "function": {"name": "get_weather", "arguments": '{"city": "Paris"}'},
    }
    messages: Any = [
        *said(WEATHER),
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": '{"weather": "sunny"}'},
    ]
    found = client.chat.completions.create(
        model=MODEL, messages=messages, tools=[TOOL], temperature=0
    )
    assert found.choices[0].message.content


@pytest.mark.parametrize("more", [{}, {"tools": [TOOL], "tool_choice": "none"}])
def test_a_call_is_told_of_where_its_tool_is_not(client: openai.OpenAI, more: Any) -> None:
    """The last question of many programs comes without the tools, after what these gave."""

    def read(name: str) -> int:
        call = {"id": "c", "type": "function", "function": {"name": name, "arguments": "{}"}}
        conversation: Any = [
            *said(WEATHER),
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c", "content": "Sunny"},
        ]
        asked: Any = {"model": MODEL, "messages": conversation, "max_tokens": 1, **more}
        took = client.chat.completions.create(**asked).usage
        assert took is not None
        return took.prompt_tokens

    assert read("get_weather_of_the_day") > read("a")


def test_what_an_assistant_began_is_gone_on_with(client: openai.OpenAI) -> None:
    begun = [*said(FRANCE), *said("The capital of", "assistant")]
    found = client.chat.completions.create(model=MODEL, messages=begun, temperature=0)
    assert found.choices[0].message.content == PARIS.removeprefix("The capital of")


def test_the_end_of_a_stream_tells_the_models_own_name(client: openai.OpenAI) -> None:
    asked: Any = {"model": "default", "messages": said(FRANCE), "max_tokens": 2}
    whole = client.chat.completions.create(**asked)
    *_, last = client.chat.completions.create(
        **asked, stream=True, stream_options={"include_usage": True}
    )
    assert (last.model, last.system_fingerprint) == (whole.model, whole.system_fingerprint)
    assert (last.model, bool(last.system_fingerprint)) == (MODEL, True)


def test_a_tool_that_may_not_be_called_is_not(client: openai.OpenAI) -> None:
    found = client.chat.completions.create(
        model=MODEL, messages=said(FRANCE), tools=[TOOL], tool_choice="none", temperature=0
    )
    assert found.choices[0].message.content == PARIS


def test_what_changes_nothing_is_passed_over(client: openai.OpenAI) -> None:
    found = client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "developer", "content": "Be short."}, *said(FRANCE)],
        temperature=0,
        user="somebody",
        store=True,
        metadata={"a": "b"},
        service_tier="auto",
        reasoning_effort="low",
        verbosity="low",
        modalities=["text"],
        prediction={"type": "content", "content": "The capital"},
        extra_body={
            "chat_template_kwargs": {},
            "functions": [],
            "function_call": "none",
            "cache_salt": "x",
            "top_k": -1,
        },
    )
    assert found.choices[0].message.content == PARIS


@pytest.mark.parametrize(
    ("asked", "param"),
    [
        ({"n": 1000}, "n"),
        ({"n": 0}, "n"),
        ({"stop": ["a"] * 1000}, "stop"),
        ({"temperature": -1}, "temperature"),
        ({"top_p": 2}, "top_p"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_completion_tokens": 0}, "max_completion_tokens"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
        ({"top_logprobs": 2}, "top_logprobs"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "user", "content": 3}]}, "messages[0].content"),
        ({"messages": [{"content": "x"}]}, "messages[0].role"),
        (
            {"messages": [{"role": "assistant", "function_call": {"name": "f"}}]},
            "messages[0].function_call",
        ),
        ({"tools": [{"type": "web_search"}]}, "tools[0].function"),
        ({"response_format": {"type": "xml"}}, "response_format"),
        ({"functions": [{"name": "f"}]}, "functions"),
        ({"chat_template_kwargs": {"enable_thinking": False}}, "chat_template_kwargs"),
        ({"chat_template": "{{ messages }}"}, "chat_template"),
        ({"stop_token_ids": [2]}, "stop_token_ids"),
        ({"min_tokens": 5}, "min_tokens"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"model": ""}, "model"),
    ],
)
def test_the_field_that_is_wrong_is_named(
    client: openai.OpenAI, asked: dict[str, Any], param: str
) -> None:
    body = {"model": MODEL, "messages": said(FRANCE), **asked}
    with pytest.raises(openai.BadRequestError) as caught:
        client.post("/chat/completions", body=body, cast_to=object)
    assert caught.value.param == param
    assert param in caught.value.message
    assert caught.value.type == "invalid_request_error"


def looking_at(url: str) -> Any:
    picture = {"type": "image_url", "image_url": {"url": url, "detail": "low"}}
    return [{"role": "user", "content": [{"type": "text", "text": "What is it?"}, picture]}]


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("data:image/png;base64,not base64!", "not base64"),
        ("data:text/html;base64,AAAA", "PNG, JPEG"),
        ("data:image/png,AAAA", "holds base64"),
        ("ftp://example.org/a.png", "begins with https:"),
        ("file:///etc/passwd", "begins with https:"),
    ],
)
def test_a_picture_that_is_none_is_refused(client: openai.OpenAI, url: str, says: str) -> None:
    with pytest.raises(openai.BadRequestError, match=says) as caught:
        client.chat.completions.create(model=MODEL, messages=looking_at(url))
    assert caught.value.param == "messages[0].content[1]"


def test_a_picture_that_is_too_large_is_refused(client: openai.OpenAI) -> None:
    with pytest.raises(openai.APIStatusError, match="at most 20971520 bytes") as caught:
        client.chat.completions.create(
            model=MODEL, messages=looking_at("data:image/png;base64," + "A" * (28 << 20))
        )
    assert caught.value.status_code == 413


@pytest.mark.parametrize("url", [PIXEL, "http://127.0.0.1:9/a.png"])
def test_a_model_without_eyes_says_so(client: openai.OpenAI, url: str) -> None:
    with pytest.raises(openai.BadRequestError, match="image"):
        client.chat.completions.create(model=MODEL, messages=looking_at(url))
