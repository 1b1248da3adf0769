"""OpenAI's models, completions and embeddings, asked with its own client."""

import json
from array import array
from base64 import b64decode
from collections.abc import Iterator
from shutil import copytree
from typing import Any

import openai
import pytest

from sensorium.models.catalogue.shelves import SAMPLES
from tests.language.openai_words import MODEL, connect
from tests.servers import Server, serving

ONCE = "Once upon a time"
CAPITAL = "The capital of"


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[openai.OpenAI]:
    with connect(server) as made:
        yield made


def tokens(server: Server, text: str) -> list[int]:
    asked = {"model": MODEL, "text": text, "special": False}
    with server.client() as http:
        found: list[int] = http.post("/v1/text/tokenize", json=asked).json()["tokens"]
    return found


def test_models_are_listed_and_told(client: openai.OpenAI) -> None:
    found = {each.id: each for each in client.models.list()}
    assert {"tinylm", "machine-state", "default"} <= set(found)
    for each in found.values():
        assert (each.object, type(each.created)) == ("model", int)
        assert each.owned_by
        assert client.models.retrieve(each.id) == each


@pytest.mark.parametrize("name", ["nope", "org/nope", "org/name/more"])
def test_a_model_that_is_not_there(client: openai.OpenAI, name: str) -> None:
    with pytest.raises(openai.NotFoundError, match=name) as caught:
        client.models.retrieve(name)
    assert caught.value.code == "model_not_found"


def test_a_model_of_an_organisation(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("models")
    copytree(SAMPLES / "tinylm", folder / "org--tiny" / "1")
    with serving(environ={"SENSORIUM_MODEL_CACHE_PATH": str(folder)}) as own, connect(own) as asks:
        assert asks.models.retrieve("org/tiny").owned_by == "org"
        assert any(each.id in ("org/tiny", "org--tiny") for each in asks.models.list())
        assert asks.completions.create(model="org/tiny", prompt=ONCE).choices[0].text


def test_a_text_goes_on(client: openai.OpenAI) -> None:
    found = client.completions.create(model=MODEL, prompt=ONCE, temperature=0)
    (choice,) = found.choices
    assert (choice.text[:10], choice.finish_reason) == (" there was", "length")
    assert found.usage is not None
    assert found.usage.completion_tokens == 16
    assert found.object == "text_completion"


def test_several_prompts_as_text_and_as_tokens(client: openai.OpenAI, server: Server) -> None:
    asked: Any = {"model": MODEL, "temperature": 0, "n": 2, "max_tokens": 4}
    texts = client.completions.create(**asked, prompt=[ONCE, CAPITAL])
    assert [each.index for each in texts.choices] == [0, 1, 2, 3]
    told = [each.text for each in texts.choices]
    assert told[0] == told[1] != told[2] == told[3]
    ids = [tokens(server, ONCE), tokens(server, CAPITAL)]
    of_ids = client.completions.create(**asked, prompt=ids)
    assert [each.text for each in of_ids.choices] == told
    alone = client.completions.create(**asked, prompt=ids[0])
    assert [each.text for each in alone.choices] == told[:2]


def test_a_prompt_of_tokens_may_begin_as_texts_do(client: openai.OpenAI, server: Server) -> None:
    with server.client() as http:
        told = http.post("/v1/text/tokenize", json={"model": MODEL, "text": ONCE}).json()["tokens"]
    assert told[1:] == tokens(server, ONCE)
    asked: Any = {"model": MODEL, "temperature": 0, "max_tokens": 8}
    whole, alone = (client.completions.create(**asked, prompt=each) for each in (told, told[1:]))
    assert whole.choices[0].text == alone.choices[0].text
    assert whole.usage is not None
    assert whole.usage.prompt_tokens == len(told)


def test_a_prompt_is_repeated_on_request(client: openai.OpenAI) -> None:
    asked: Any = {"model": MODEL, "temperature": 0, "prompt": [ONCE, CAPITAL], "max_tokens": 4}
    plain = client.completions.create(**asked)
    echoed = client.completions.create(**asked, echo=True)
    for before, after, prompt in zip(plain.choices, echoed.choices, (ONCE, CAPITAL), strict=True):
        assert after.text == prompt + before.text


@pytest.mark.parametrize("echo", [True, False])
def test_a_stream_tells_the_same(client: openai.OpenAI, echo: bool) -> None:
    asked: Any = {
        "model": MODEL,
        "temperature": 1,
        "seed": 3,
        "prompt": [ONCE, CAPITAL],
        "n": 2,
        "echo": echo,
    }
    whole = client.completions.create(**asked)
    *chunks, last = client.completions.create(
        **asked, stream=True, stream_options={"include_usage": True}
    )
    texts, ends = [""] * 4, [""] * 4
    for chunk in chunks:
        assert chunk.usage is None
        (choice,) = chunk.choices
        texts[choice.index] += choice.text
        ends[choice.index] = choice.finish_reason or ends[choice.index]
    assert texts == [each.text for each in whole.choices]
    assert ends == [each.finish_reason for each in whole.choices]
    assert last.usage is not None
    assert whole.usage is not None
    assert last.usage.total_tokens == whole.usage.total_tokens


@pytest.mark.parametrize("top", [0, 3])
def test_likelihoods_in_the_older_form(client: openai.OpenAI, top: int) -> None:
    found = client.completions.create(model=MODEL, prompt=ONCE, temperature=0, logprobs=top)
    (choice,) = found.choices
    told = choice.logprobs
    assert told is not None
    assert told.tokens
    assert told.text_offset
    assert told.token_logprobs
    assert told.top_logprobs
    assert "".join(told.tokens) == choice.text
    assert all(
        choice.text[at:].startswith(token)
        for at, token in zip(told.text_offset, told.tokens, strict=True)
    )
    assert all(each <= 0 for each in told.token_logprobs)
    assert all(max(1, top) <= len(each) <= top + 1 for each in told.top_logprobs)


def test_the_best_of_several_is_told(client: openai.OpenAI) -> None:
    asked: Any = {"model": MODEL, "prompt": ONCE, "seed": 5, "temperature": 1.2, "max_tokens": 24}
    best = client.completions.create(**asked, best_of=4, logprobs=0)
    every = client.completions.create(**asked, n=4, logprobs=0)

    def mean(choice: Any) -> float:
        likely: list[float] = choice.logprobs.token_logprobs
        return sum(likely) / len(likely)

    assert best.choices[0].text == max(every.choices, key=mean).text
    assert [each.index for each in best.choices] == [0]


@pytest.mark.parametrize("stream", [False, True])
def test_a_schema_holds_a_text(client: openai.OpenAI, stream: bool) -> None:
    schema: dict[str, Any] = {"type": "object", "properties": {"n": {"enum": [7]}}}
    schema |= {"required": ["n"], "additionalProperties": False}
    held = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}
    asked: Any = {"model": MODEL, "prompt": ONCE, "max_tokens": 60, "temperature": 0}
    told = client.completions.create(**asked, stream=stream, extra_body={"response_format": held})
    chunks = told if stream else [told]
    text = "".join(each.choices[0].text for each in chunks)
    assert json.loads(text) == {"n": 7}


@pytest.mark.parametrize(
    ("asked", "param"),
    [
        ({"suffix": "x"}, "suffix"),
        ({"best_of": 1, "n": 2}, "best_of"),
        ({"best_of": 2, "stream": True}, "best_of"),
        ({"echo": True, "logprobs": 1}, "logprobs"),
        ({"prompt": []}, "prompt"),
        ({"prompt": ""}, "prompt"),
        ({"prompt": ["a", 1]}, "prompt"),
        ({"prompt": [[]]}, "prompt[0]"),
        ({"prompt": ["a"] * 129}, "prompt"),
        ({"n": 1000}, "n"),
        ({"logprobs": 21}, "logprobs"),
        ({"guided_json": {"type": "object"}}, "guided_json"),
        ({"ignore_eos": True}, "ignore_eos"),
        ({"response_format": {"type": "xml"}}, "response_format"),
    ],
)
def test_the_field_that_is_wrong_is_named(
    client: openai.OpenAI, asked: dict[str, Any], param: str
) -> None:
    body = {"model": MODEL, "prompt": ONCE, **asked}
    with pytest.raises(openai.BadRequestError) as caught:
        client.post("/completions", body=body, cast_to=object)
    assert caught.value.param == param


def test_tokens_that_are_none(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="token"):
        client.completions.create(model=MODEL, prompt=[1_000_000_000])


def test_vectors_as_base64_and_as_numbers(client: openai.OpenAI, server: Server) -> None:
    texts = ["a red fox", "a quick animal"]
    usual = client.embeddings.create(model=MODEL, input=texts)
    plain = client.embeddings.create(model=MODEL, input=texts, encoding_format="float")
    raw = client.post(
        "/embeddings",
        body={"model": MODEL, "input": texts, "encoding_format": "base64"},
        cast_to=object,
    )
    assert isinstance(raw, dict)
    decoded = [array("f", b64decode(each["embedding"])).tolist() for each in raw["data"]]
    for told in (usual, plain):
        assert [each.index for each in told.data] == [0, 1]
        for each, expected in zip(told.data, decoded, strict=True):
            assert each.embedding == pytest.approx(expected, abs=1e-6)
        assert told.usage.total_tokens == told.usage.prompt_tokens > 0
    ids = [tokens(server, each) for each in texts]
    of_ids = client.embeddings.create(model=MODEL, input=ids)
    assert of_ids.data[1].embedding == pytest.approx(decoded[1], abs=1e-6)
    (alone,) = client.embeddings.create(model=MODEL, input=ids[0]).data
    assert alone.embedding == pytest.approx(decoded[0], abs=1e-6)


def test_a_vector_is_cut_on_request(client: openai.OpenAI) -> None:
    (short,) = client.embeddings.create(model=MODEL, input="a fox", dimensions=8).data
    assert len(short.embedding) == 8
    assert sum(each * each for each in short.embedding) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    ("asked", "param"),
    [
        ({"input": ""}, "input"),
        ({"input": []}, "input"),
        ({"input": ["a"] * 2049}, "input"),
        ({"input": 3}, "input"),
        ({"dimensions": 0}, "dimensions"),
        ({"encoding_format": "hex"}, "encoding_format"),
    ],
)
def test_what_has_no_vector(client: openai.OpenAI, asked: dict[str, Any], param: str) -> None:
    body = {"model": MODEL, "input": "a", **asked}
    with pytest.raises(openai.BadRequestError) as caught:
        client.post("/embeddings", body=body, cast_to=object)
    assert caught.value.param == param
