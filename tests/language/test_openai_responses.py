"""OpenAI's responses, asked with its own client."""

from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai.types.responses import ResponseItem
from pydantic import TypeAdapter

from sensorium.transports.http.compat.openai.errors import NotKeptError
from sensorium.transports.http.compat.openai.messages import Part
from sensorium.transports.http.compat.openai.responses import kept
from sensorium.transports.http.compat.openai.responses.items import Item, messages
from tests.language.openai_words import FRANCE, GREEDY, MODEL, PARIS, TOOL, WEATHER, connect
from tests.language.test_openai_chat import Category
from tests.servers import Server, serving

CALLABLE: Any = {"type": "function", **TOOL["function"]}
BEGUN = [
    *("response.created", "response.in_progress"),
    *("response.output_item.added", "response.content_part.added"),
]
OVER = [
    *("response.output_text.done", "response.content_part.done"),
    *("response.output_item.done", "response.completed"),
]


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[openai.OpenAI]:
    with connect(server) as made:
        yield made


def test_it_answers(client: openai.OpenAI) -> None:
    found = client.responses.create(model=MODEL, input=FRANCE, temperature=0, user="x")
    assert (found.output_text, found.status, found.model) == (PARIS, "completed", MODEL)
    assert found.usage is not None
    assert found.usage.input_tokens == len(GREEDY[FRANCE]["prompt_ids"])
    assert found.usage.total_tokens == found.usage.input_tokens + found.usage.output_tokens
    items: Any = [
        {"role": "developer", "content": "Be short."},
        {"role": "user", "content": "Hello!"},
        {"role": "assistant", "content": [{"type": "output_text", "text": "Hello!"}]},
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Hm."}]},
        {"role": "user", "content": [{"type": "input_text", "text": FRANCE}]},
    ]
    assert client.responses.create(model=MODEL, input=items, instructions="Answer.").output_text


def test_a_stream_has_all_events_in_order(client: openai.OpenAI) -> None:
    with client.responses.stream(model=MODEL, input=FRANCE, temperature=0) as stream:
        events = list(stream)
        final = stream.get_final_response()
    kinds = [each.type for each in events]
    deltas = len(kinds) - len(BEGUN) - len(OVER)
    assert kinds == [*BEGUN, *["response.output_text.delta"] * deltas, *OVER]
    assert [each.sequence_number for each in events] == list(range(len(events)))
    assert final.output_text == PARIS
    assert final.usage is not None
    assert final.usage.output_tokens > 0
    assert client.responses.retrieve(final.id).output_text == PARIS


def test_an_answer_of_a_schema_is_parsed(client: openai.OpenAI) -> None:
    prompt = "Classify this log line as JSON: ERROR billing: connection refused to db1:5432"
    asked: Any = {"model": MODEL, "input": prompt, "temperature": 0}
    parsed = client.responses.parse(**asked, text_format=Category).output_parsed
    assert isinstance(parsed, Category)
    with client.responses.stream(**asked, text_format=Category) as stream:
        assert stream.until_done().get_final_response().output_parsed == parsed
    free = client.responses.create(**asked, text={"format": {"type": "json_object"}})
    assert free.output_text.startswith("{")


def test_what_is_cut_off_is_incomplete(client: openai.OpenAI) -> None:
    asked: Any = {"model": MODEL, "input": FRANCE, "max_output_tokens": 2, "temperature": 0}
    found = client.responses.create(**asked)
    assert (found.output_text, found.status) == ("The capital", "incomplete")
    assert found.incomplete_details is not None
    assert found.incomplete_details.reason == "max_output_tokens"
    *_, last = client.responses.create(**asked, stream=True)
    assert last.type == "response.incomplete"


def test_likelihoods_of_tokens(client: openai.OpenAI) -> None:
    found = client.responses.create(
        model=MODEL,
        input=FRANCE,
        temperature=0,
        include=["message.output_text.logprobs"],
        top_logprobs=2,
    )
    (item,) = found.output
    assert item.type == "message"
    (part,) = item.content
    assert part.type == "output_text"
    assert part.logprobs
    assert "".join(each.token for each in part.logprobs) == PARIS
    assert all(len(each.top_logprobs) == 2 for each in part.logprobs)


def test_a_conversation_goes_on(client: openai.OpenAI) -> None:
    first = client.responses.create(
        model=MODEL, input="Hello!", temperature=0, instructions="Be kind."
    )
    second = client.responses.create(
        model=MODEL, input=FRANCE, temperature=0, previous_response_id=first.id
    )
    said = [
        *(
            {"role": "user", "content": "Hello!"},
            {"role": "assistant", "content": first.output_text},
        ),
        {"role": "user", "content": FRANCE},
    ]
    at_once: Any = {"model": MODEL, "input": said, "temperature": 0}
    whole = client.responses.create(**at_once, store=False)
    assert second.output_text == whole.output_text
    assert second.usage is not None
    assert whole.usage is not None
    assert second.usage.input_tokens == whole.usage.input_tokens
    counted = client.responses.input_tokens.count(
        model=MODEL, input=FRANCE, previous_response_id=first.id
    )
    assert counted.input_tokens == whole.usage.input_tokens
    listed = client.responses.input_items.list(second.id, order="asc").data
    assert [each.role for each in listed if each.type == "message"] == [
        *("user", "assistant", "user")
    ]
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(whole.id)
    client.responses.delete(first.id)
    with pytest.raises(openai.NotFoundError, match=first.id):
        client.responses.retrieve(first.id)
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(model=MODEL, input="x", previous_response_id=first.id)
    assert caught.value.param == "previous_response_id"


def referring(found: Any) -> Any:
    return {"type": "item_reference", "id": found.output[0].id}


def test_an_item_is_referred_to(client: openai.OpenAI) -> None:
    hello: Any = {"role": "user", "content": "Hello!"}
    asked: Any = {"role": "user", "content": FRANCE}
    first = client.responses.create(model=MODEL, input=[hello], temperature=0)
    given: Any = {"model": MODEL, "temperature": 0}
    said = {"role": "assistant", "content": first.output_text}
    whole = client.responses.create(**given, input=[hello, said, asked])
    found = client.responses.create(**given, input=[hello, referring(first), asked])
    assert found.output_text == whole.output_text
    assert found.usage is not None
    assert whole.usage is not None
    assert found.usage.input_tokens == whole.usage.input_tokens
    listed = client.responses.input_items.list(found.id, order="asc").data
    assert [each.type for each in listed] == ["message"] * 3
    with pytest.raises(openai.BadRequestError, match="referred to once"):
        client.responses.create(**given, input=[referring(first), referring(first)])
    client.responses.delete(first.id)
    for wrong in (found.id, first.output[0].id):
        with pytest.raises(openai.BadRequestError, match=wrong) as caught:
            client.responses.create(**given, input=[hello, {"type": "item_reference", "id": wrong}])
        assert caught.value.param == "input[1]"


def test_what_was_asked_is_listed_in_pages(client: openai.OpenAI) -> None:
    items: Any = [{"role": "user", "content": str(number)} for number in range(5)]
    found = client.responses.create(model=MODEL, input=items, max_output_tokens=1)
    page = client.responses.input_items.list(found.id, limit=2)
    assert (len(page.data), page.has_more) == (2, True)
    told: Any = list(page)
    assert [each.content[0].text for each in told] == ["4", "3", "2", "1", "0"]
    for wrong in ({"limit": 0}, {"limit": 101}, {"after": "msg_nope"}, {"order": "any"}):
        with pytest.raises(openai.BadRequestError) as caught:
            client.responses.input_items.list(found.id, extra_query=wrong)
        assert caught.value.param == next(iter(wrong))


def test_what_is_listed_has_all_that_clients_read(client: openai.OpenAI) -> None:
    call = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
    items: Any = [
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "content": "I look."},
        call,
        {"type": "function_call_output", "call_id": "c", "output": "Sunny"},
        {"role": "assistant", "content": [{"type": "output_text", "text": "Sunny."}]},
        {"role": "user", "content": "Thanks"},
    ]
    found = client.responses.create(model=MODEL, input=items, max_output_tokens=1)
    listed = client.responses.input_items.with_raw_response.list(found.id, order="asc")
    told = TypeAdapter(list[ResponseItem]).validate_python(listed.http_response.json()["data"])
    assert [each.type for each in told] == [
        *("message", "message", "function_call", "function_call_output", "message", "message")
    ]


def test_a_response_is_not_streamed_again(client: openai.OpenAI) -> None:
    found = client.responses.create(model=MODEL, input=FRANCE, max_output_tokens=1)
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.retrieve(found.id, stream=True)
    assert caught.value.param == "stream"


def test_nobody_sees_another_ones_response() -> None:
    with (
        serving(environ={"SENSORIUM_API_KEYS": "key-one,key-two"}) as own,
        connect(own, "key-one") as one,
        connect(own, "key-two") as two,
    ):
        found = one.responses.create(model=MODEL, input=FRANCE)
        assert one.responses.retrieve(found.id).id == found.id
        with pytest.raises(openai.NotFoundError):
            two.responses.retrieve(found.id)
        with pytest.raises(openai.NotFoundError):
            two.responses.delete(found.id)
        with pytest.raises(openai.BadRequestError):
            two.responses.create(model=MODEL, input="x", previous_response_id=found.id)
        with pytest.raises(openai.BadRequestError) as caught:
            two.responses.create(model=MODEL, input=[referring(found)])
        assert found.id not in caught.value.message


def test_the_oldest_are_forgotten_and_so_is_what_is_too_old(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    keeper = kept.Keeper()
    for number in range(kept.MAX_KEPT + 1):
        assert keeper.keep("a", {"id": str(number), "output": []}, [], [])
    keeper.find("a", "1")
    for gone in ("0", str(kept.MAX_KEPT + 1)):
        with pytest.raises(NotKeptError):
            keeper.find("a", gone)
    large = [{"content": "x" * (kept.MAX_BYTES // 5)}]
    for number in range(6):
        assert keeper.keep("a", {"id": f"large{number}", "output": []}, [], large)
    keeper.find("a", "large5")
    with pytest.raises(NotKeptError):
        keeper.find("a", "large0")
    assert not keeper.keep("a", {"id": "too large", "output": []}, [], large * 2)
    with pytest.raises(NotKeptError):
        keeper.find("a", "too large")
    monkeypatch.setattr(kept, "EXPIRES_S", -1.0)
    keeper.keep("a", {"id": "old", "output": []}, [], [])
    with pytest.raises(NotKeptError):
        keeper.find("a", "old")


def test_what_an_assistant_does_at_a_stretch_is_one_message() -> None:
    call: Any = {"type": "function_call", "name": "f", "arguments": "{}"}
    items = [
        Item(role="user", content="hi"),
        Item(type="reasoning", content=[Part(type="reasoning_text", text="hm")]),
        Item(role="assistant", content="I look."),
        Item(**call, call_id="1"),
        Item(**call, call_id="2"),
        Item(type="function_call_output", call_id="1", output="a"),
        Item(type="function_call_output", call_id="2", output=[Part(type="input_text", text="b")]),
        Item(role="assistant", content="So."),
        Item(role="assistant", content="And so."),
    ]
    found = messages(items)
    assert [each["role"] for each in found] == [
        *("user", "assistant", "tool", "tool", "assistant", "assistant")
    ]
    assert (found[1]["reasoning"], found[1]["content"]) == ("hm", "I look.")
    assert [each["id"] for each in found[1]["tool_calls"]] == ["1", "2"]
    assert [each["content"] for each in found[2:4]] == ["a", "b"]


def test_a_tool_is_called(client: openai.OpenAI) -> None:
    asked: Any = {"model": MODEL, "input": WEATHER, "tools": [CALLABLE], "temperature": 0}
    with client.responses.stream(**asked) as stream:
        kinds = [each.type for each in stream]
        streamed = stream.get_final_response().output
    assert "response.function_call_arguments.delta" in kinds
    assert "response.function_call_arguments.done" in kinds
    for output in (client.responses.create(**asked).output, streamed):
        (call,) = output
        assert call.type == "function_call"
        assert (call.name, call.arguments) == ("get_weather", '{"city":"Paris"}')
        assert call.call_id


def test_a_tools_result_is_told(client: openai.OpenAI) -> None:
    items: Any = [
        {"role": "user", "content": WEATHER},
        {"type": "function_call", "call_id": "c", "name": "get_weather", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "sunny"},
    ]
    found = client.responses.create(model=MODEL, input=items, tools=[CALLABLE])
    assert found.output


def test_a_model_without_eyes_says_so(client: openai.OpenAI) -> None:
    picture: Any = {"type": "input_image", "image_url": "http://127.0.0.1:9/a.png"}
    with pytest.raises(openai.BadRequestError, match="image"):
        client.responses.create(model=MODEL, input=[{"role": "user", "content": [picture]}])


@pytest.mark.parametrize(
    ("asked", "param"),
    [
        ({"background": True}, "background"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"prompt": {"id": "x"}}, "prompt"),
        ({"tool_choice": {"type": "web_search"}}, "tool_choice"),
        ({"input": []}, "input"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, "input[0]"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"text": {"format": {"type": "xml"}}}, "text.format"),
        ({"top_logprobs": 21}, "top_logprobs"),
        ({"previous_response_id": "resp_nope"}, "previous_response_id"),
    ],
)
def test_the_field_that_is_wrong_is_named(
    client: openai.OpenAI, asked: dict[str, Any], param: str
) -> None:
    body = {"model": MODEL, "input": FRANCE, **asked}
    with pytest.raises(openai.BadRequestError) as caught:
        client.post("/responses", body=body, cast_to=object)
    assert caught.value.param == param
