"""Errors, in the classes in which OpenAI's own client raises them."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import openai
import psutil
import pytest

from sensorium.control.keys import KeyStore
from tests.faults.observing import until
from tests.language.lasting import lasting
from tests.language.openai_words import FRANCE, MODEL, connect, said
from tests.servers import Server, serving

KEY = "a-key-of-these-tests-alone"
ENDLESS: Any = {
    "model": MODEL,
    "messages": said("Tell me a story."),
    "max_tokens": 8000,
    "logit_bias": {"2": -1000},
    "n": 4,
}
"""Texts that end where the model's context does: they never take the token that ends a text."""
LONG: Any = {"type": "array", "items": {"type": "integer"}, "minItems": 3000}
"""What takes as long to write."""


@pytest.fixture(scope="module")
def own() -> Iterator[Server]:
    with serving(environ={"SENSORIUM_API_KEYS": KEY}) as running:
        yield running


@pytest.fixture
def shared(server: Server) -> Iterator[openai.OpenAI]:
    with connect(server) as made:
        yield made


def ask(client: openai.OpenAI, **more: Any) -> Any:
    return client.chat.completions.create(
        **{"model": MODEL, "messages": said(FRANCE), "temperature": 0, **more}
    )


def knows(server: Server, key: str) -> bool:
    with server.client(headers={"x-api-key": key}) as http:
        return http.get("/v1/models").status_code != 401


def test_no_key_and_a_wrong_one(own: Server) -> None:
    with connect(own, "wrong") as client, pytest.raises(openai.AuthenticationError) as caught:
        ask(client)
    assert (caught.value.code, caught.value.type) == ("invalid_api_key", "authentication_error")
    with httpx.Client(base_url=own.url) as http:
        found = http.post("/v1/chat/completions", json={})
    assert (found.status_code, found.headers["www-authenticate"]) == (401, "Bearer")
    assert found.json()["error"]["code"] == "invalid_api_key"
    with connect(own, KEY) as client:
        assert ask(client)


def test_a_key_that_may_not_and_one_that_asks_too_often(own: Server) -> None:
    store = KeyStore(own.data_dir)
    _, forbidden = store.create("other", ("logs.*",))
    _, rated = store.create("rated", ("chat.*",), rate_per_s=0.01)
    until(lambda: knows(own, forbidden), 5, "the keys are known")
    with connect(own, forbidden) as client, pytest.raises(openai.PermissionDeniedError) as caught:
        ask(client)
    assert caught.value.type == "permission_error"
    with connect(own, rated) as client:
        ask(client)
        with pytest.raises(openai.RateLimitError) as limited:
            ask(client)
    assert int(limited.value.response.headers["retry-after"]) >= 1
    assert limited.value.code == "rate_limited"


def test_a_model_that_is_not_there(shared: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        ask(shared, model="nope")
    assert caught.value.code == "model_not_found"
    with pytest.raises(openai.NotFoundError):
        list(ask(shared, model="nope", stream=True))
    with pytest.raises(openai.BadRequestError, match="makes no text"):
        ask(shared, model="machine-state")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/moderations"),
        ("POST", "/v1/images/generations"),
        ("POST", "/v1/audio/transcriptions"),
        ("GET", "/v1/files"),
        ("POST", "/v1/chat/completions/chatcmpl-1"),
        ("GET", "/v1/chat"),
        ("POST", "/v1/responses/resp_1/cancel"),
    ],
)
def test_where_there_is_nothing(server: Server, method: str, path: str) -> None:
    with server.client() as http:
        found = http.request(method, path, json={} if method == "POST" else None)
    assert found.status_code == 404
    assert found.json()["error"]["code"] == "unknown_url"


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v1/chat/completions", "POST"),
        ("DELETE", "/v1/models/tinylm", "GET, HEAD"),
        ("GET", "/v1/responses", "POST"),
        ("POST", "/v1/responses/resp_1", "GET, HEAD, DELETE"),
    ],
)
def test_another_method(server: Server, method: str, path: str, allowed: str) -> None:
    with server.client() as http:
        found = http.request(method, path)
    assert (found.status_code, found.headers["allow"]) == (405, allowed)
    assert found.json()["error"]["type"] == "invalid_request_error"


def test_what_is_too_long_for_the_model(shared: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="context"):
        ask(shared, messages=said("word " * 2000))
    with pytest.raises(openai.BadRequestError, match="context"):
        list(ask(shared, messages=said("word " * 2000), stream=True))


def test_a_full_queue_says_when_to_come_again(tmp_path: Path) -> None:
    with (
        serving(environ={"SENSORIUM_MODEL_QUEUE": "1", **lasting(tmp_path)}) as own,
        connect(own) as client,
        own.client() as http,
        ThreadPoolExecutor(8) as pool,
    ):
        options = {"parallel": 1}
        asked = {"model": MODEL, "options": options}
        assert http.post("/v1/models/load", json=asked).status_code == 200

        def one(_: int) -> Exception | None:
            try:
                ask(client, **{**ENDLESS, "n": 1, "max_tokens": 1000})
            except openai.APIStatusError as error:
                return error
            return None

        found = [each for each in pool.map(one, range(8)) if each is not None]
    assert found
    for error in found:
        assert isinstance(error, openai.InternalServerError)
        assert error.status_code == 503
        assert int(error.response.headers["retry-after"]) >= 1
        assert error.code == "overloaded"


def kill_model(server: Server) -> None:
    """Kill the process in which the model runs."""
    children = psutil.Process(server.process.pid).children(recursive=True)
    (model,) = (each for each in children if "sensorium.models.host:serve" in each.cmdline())
    model.kill()


@pytest.mark.parametrize("interface", ["chat", "completions", "responses"])
def test_an_error_within_a_stream_is_raised(interface: str, tmp_path: Path) -> None:
    """The model's process is killed in the middle of a text."""
    with serving(environ=lasting(tmp_path)) as own, connect(own) as client, own.client() as http:
        assert http.post("/v1/models/load", json={"model": MODEL}).status_code == 200
        stream: Any
        match interface:
            case "chat":
                stream = client.chat.completions.create(**ENDLESS, stream=True)
            case "completions":
                more = {name: value for name, value in ENDLESS.items() if name != "messages"}
                stream = client.completions.create(**more, prompt="Once", stream=True)
            case _:
                stream = client.responses.create(
                    model=MODEL,
                    input="Count.",
                    max_output_tokens=8000,
                    top_logprobs=20,
                    text={"format": {"type": "json_schema", "name": "n", "schema": LONG}},
                    stream=True,
                )
        next(iter(stream))
        kill_model(own)
        with pytest.raises(openai.APIError) as caught:
            list(stream)
        assert not isinstance(caught.value, openai.APIConnectionError)
        assert caught.value.message
        assert caught.value.type == "server_error"
