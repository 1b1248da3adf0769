"""Models that others serve: real servers, and every way in which they fail."""

import asyncio
import threading
import time

import numpy as np
import pytest

from sensorium.core.errors import (
    CancelledCallError,
    InvalidInputError,
    NotSupportedError,
    OverloadedError,
    UnavailableError,
)
from sensorium.core.generation import Generation, Piece
from sensorium.models.placement.process import InProcess
from tests.models.backends.contract import OPTIONS, Case, TensorContract, artifact, load, numbers
from tests.models.backends.remote_servers import KEY, served
from tests.models.backends.text_contract import TextContract, generated, text_of

LISTED = {"openai": "/v1", "ollama": "", "oip": ""}


@pytest.fixture
def server():
    with served() as told:
        yield told


def settings(protocol, url, **more):
    lines = {"url": url + LISTED[protocol], "protocol": protocol, "model": "calculator", **more}
    shown = {True: "true", False: "false"}
    return "".join(
        f"{name} = {shown.get(value) if isinstance(value, bool) else repr(value)}\n"
        for name, value in lines.items()
    )


def written(tmp_path, text, **more):
    path = tmp_path / "remote.toml"
    path.write_text(text)
    return artifact(path, "remote", **more)


@pytest.fixture
def remote(tmp_path, server):
    """Load a model of a protocol, with these settings."""
    loaded = []

    def make(protocol="openai", **more):
        text = settings(protocol, server.url, **{"timeout_s": 5.0, **more})
        loaded.append(load(written(tmp_path, text)))
        return loaded[-1]

    yield make
    for each in loaded:
        each.close()


class TestOpenAI(TextContract):
    tokenizes = False

    @pytest.fixture
    def made(self, tmp_path, server):
        return written(tmp_path, settings("openai", server.url))

    def test_embeddings(self, model, server):
        vectors, _ = model.embed(["one", "two"])
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
        np.testing.assert_allclose(model.embed(["two"])[0][0], vectors[1])
        server.fault = "few"
        with pytest.raises(UnavailableError, match="other vectors"):
            model.embed(["one", "two"])


class TestCompletions(TestOpenAI):
    tells_logprobs = False

    @pytest.fixture
    def made(self, tmp_path, server):
        return written(tmp_path, settings("openai", server.url, completions=True))


class TestOllama(TextContract):
    tokenizes = False
    embeds = True
    tells_logprobs = False

    @pytest.fixture
    def made(self, tmp_path, server):
        return written(tmp_path, settings("ollama", server.url))


class TestEmbeddings(TextContract):
    generates = False
    tokenizes = False
    embeds = True

    @pytest.fixture
    def made(self, tmp_path, server):
        return written(tmp_path, settings("openai", server.url, task="embed"))


class TestOpenInference(TensorContract):
    @pytest.fixture
    def case(self, tmp_path, server):
        return Case(
            written(tmp_path, settings("oip", server.url)),
            lambda rows: {"a": numbers(rows), "b": numbers(rows) + 1},
            lambda x: {"sum": x["a"] + x["b"], "product": x["a"] * x["b"]},
        )


def test_what_is_asked_of_openais_protocol(remote, server):
    model = remote(api_key=KEY)
    schema = {"type": "object"}
    messages = [{"role": "user", "content": "hello"}]
    usual = {"messages": messages, "max_tokens": 9, "temperature": 0.5, "top_p": 0.9}
    generated(model, **usual, seed=7, stop=["x"], json_schema=schema, presence_penalty=0.5)
    (path, body) = server.asked[-1]
    assert path == "/v1/chat/completions"
    assert body == {
        "model": "calculator",
        "messages": messages,
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": 0.5,
        "top_p": 0.9,
        "max_tokens": 9,
        "seed": 7,
        "stop": ["x"],
        "presence_penalty": 0.5,
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "answer", "schema": schema, "strict": True},
        },
    }
    assert server.keys[-1] == f"Bearer {KEY}"
    with pytest.raises(NotSupportedError):
        generated(model, prompt="a", grammar='root ::= "a"')
    other = remote(extended=True, max_tokens_field="max_completion_tokens")
    generated(other, prompt="a", grammar='root ::= "a"', top_k=3, min_p=0.1, max_tokens=4)
    body = server.asked[-1][1]
    assert body["messages"] == [{"role": "user", "content": "a"}]
    assert (body["top_k"], body["min_p"], body["grammar"]) == (3, 0.1, 'root ::= "a"')
    assert body["max_completion_tokens"] == 4
    assert "max_tokens" not in body
    assert server.keys[-1] == ""


def test_what_is_asked_of_ollamas_protocol(remote, server):
    model = remote("ollama")
    schema = {"type": "object"}
    generated(model, prompt="a", max_tokens=3, seed=4, json_schema=schema, stop=["x"])
    path, body = server.asked[-1]
    assert path == "/api/generate"
    assert body["raw"] is True
    assert body["format"] == schema
    assert body["options"]["num_predict"] == 3
    assert (body["options"]["seed"], body["options"]["stop"]) == (4, ["x"])
    generated(model, messages=[{"role": "user", "content": "a"}])
    assert server.asked[-1][0] == "/api/chat"
    for more in ({"logit_bias": {"1": 1.0}}, {"grammar": "x"}):
        with pytest.raises(NotSupportedError):
            generated(model, prompt="a", **more)


def test_usage_and_connections(remote, server):
    model = remote()
    for _ in range(3):
        pieces = generated(model, prompt="a", max_tokens=4)
        assert (pieces[-1].prompt_tokens, pieces[-1].generated_tokens) == (5, 4)
    assert len(server.connections) == 1, "a connection is used again"


@pytest.mark.parametrize("protocol", ["openai", "ollama"])
@pytest.mark.parametrize(
    ("fault", "error", "reason"),
    [
        ("429", OverloadedError, "too much to do"),
        ("500", UnavailableError, "failed \\(500\\)"),
        ("503", UnavailableError, "failed \\(503\\)"),
        ("400", InvalidInputError, "refuses this: no: "),
        ("401", UnavailableError, "does not take the key"),
        ("404", UnavailableError, "no such model"),
        ("redirect", UnavailableError, "redirects, which is not followed"),
        ("garbage", UnavailableError, "answers with 'application/json'"),
        ("html", UnavailableError, "answers with 'text/html'"),
        ("cut", UnavailableError, "broke off"),
        ("end", UnavailableError, "broke off within the text"),
        ("bad line", UnavailableError, "not its protocol"),
        ("error", UnavailableError, "failed within the text: broken"),
        ("long line", UnavailableError, "does not end"),
        ("stall", UnavailableError, "silent for 2 s"),
    ],
)
def test_a_server_that_fails(remote, server, protocol, fault, error, reason):
    model = remote(protocol, api_key=KEY, timeout_s=2.0)
    server.fault = fault
    pieces = []
    with pytest.raises(error, match=reason) as caught:
        model.generate(
            Generation(prompt="a", max_tokens=9), lambda p: p == Piece() or not pieces.append(p)
        )
    assert not any(piece.finish for piece in pieces), "a text that was cut has no end"
    if fault in ("cut", "end", "bad line", "error", "stall"):
        assert pieces, "what had come was handed out"
    assert KEY not in caught.value.message
    assert server.url not in caught.value.message
    if fault == "429":
        assert caught.value.retry_after_s == 7.0
    assert server.elsewhere == []
    server.fault = ""
    assert generated(model, prompt="a", max_tokens=3)[-1].finish == "length"


def test_a_text_that_is_withheld(remote, server):
    server.fault = "filter"
    with pytest.raises(InvalidInputError, match="withholds"):
        generated(remote(), prompt="a", max_tokens=9)


def test_the_mark_of_the_end_may_be_missing(remote, server):
    server.fault = "no done"
    assert generated(remote(), prompt="a", max_tokens=3)[-1].finish == "length"


@pytest.mark.parametrize("protocol", ["openai", "ollama"])
def test_the_server_hears_that_nobody_waits(remote, server, protocol):
    model = remote(protocol, timeout_s=20.0)
    server.fault = "stall"
    began = time.perf_counter()
    seen = []
    model.generate(
        Generation(prompt="a", max_tokens=9), lambda p: not (seen.append(p) or p == Piece())
    )
    assert time.perf_counter() - began < 18
    assert seen[-1] == Piece()
    assert server.given_up.wait(60)


def test_a_stalled_text_is_cancelled_and_its_process_lives(tmp_path, server):
    made = written(tmp_path, settings("openai", server.url, timeout_s=30.0))

    async def run():
        placed = await InProcess.load(made, OPTIONS, text=True)
        try:
            before = placed.pid
            server.fault = "stall"
            pieces = placed.generate(Generation(prompt="a", max_tokens=9))
            await anext(pieces)
            await anext(pieces)
            await pieces.aclose()
            server.fault = ""
            found = [p async for p in placed.generate(Generation(prompt="a", max_tokens=2))]
            assert text_of(found)
            assert await asyncio.to_thread(server.given_up.wait, 60)
            assert placed.pid == before
        finally:
            await placed.close()

    asyncio.run(run())


@pytest.mark.parametrize(
    ("fault", "error", "reason"),
    [
        ("429", OverloadedError, "too much to do"),
        ("400", InvalidInputError, "refuses this"),
        ("500", UnavailableError, "failed"),
        ("redirect", UnavailableError, "redirects"),
        ("garbage", UnavailableError, "not its protocol"),
        ("shapes", UnavailableError, "tensors that do not fit"),
        ("stall", UnavailableError, "silent"),
    ],
)
def test_a_server_of_tensors_that_fails(remote, server, fault, error, reason):
    model = remote("oip", timeout_s=2.0)
    server.fault = fault
    inputs = {"a": numbers(2), "b": numbers(2)}
    with pytest.raises(error, match=reason):
        model.infer(inputs, ["sum"])
    assert server.elsewhere == []
    server.fault = ""
    np.testing.assert_array_equal(model.infer(inputs, ["sum"])["sum"], numbers(2) * 2)


def test_tensors_may_come_as_json(remote, server):
    model = remote("oip")
    server.fault = "json"
    found = model.infer({"a": numbers(2), "b": numbers(2)}, ["product", "sum"])
    np.testing.assert_allclose(found["product"], numbers(2) ** 2, rtol=1e-6)
    assert list(found) == ["product", "sum"]


def test_a_run_elsewhere_can_be_interrupted(remote, server):
    model = remote("oip", timeout_s=20.0)
    server.fault = "stall"
    threading.Timer(0.2, model.interrupt).start()
    began = time.perf_counter()
    with pytest.raises(CancelledCallError):
        model.infer({"a": numbers(2), "b": numbers(2)}, ["sum"])
    assert time.perf_counter() - began < 18.0


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "missing required field"),
        ("[", "remote.toml: "),
        ("url = 'file:///etc/passwd'\nprotocol = 'oip'\nmodel = 'a'", "url is http"),
        ("url = 'http://'\nprotocol = 'oip'\nmodel = 'a'", "url is http"),
        ("url = 'http://a:b@host'\nprotocol = 'oip'\nmodel = 'a'", "no user"),
        ("url = 'http://host/?a=b'\nprotocol = 'oip'\nmodel = 'a'", "no user, query"),
        ("url = 'http://host:99999'\nprotocol = 'oip'\nmodel = 'a'", "is no address"),
        ("url = 'http://host'\nprotocol = 'smtp'\nmodel = 'a'", "Invalid enum value"),
        ("url = 'http://host'\nprotocol = 'oip'\nmodel = 'a'\nnobody = 1", "unknown field"),
        ("url = 'http://host'\nprotocol = 'oip'\nmodel = 'a'\nca_file = '/none'", "ca_file"),
    ],
)
def test_settings_that_are_none(tmp_path, text, reason):
    with pytest.raises(InvalidInputError, match=reason):
        load(written(tmp_path, text))


def test_a_key_may_stand_in_the_environment(tmp_path, server, monkeypatch):
    made = written(tmp_path, settings("openai", server.url, api_key="env:SENSORIUM_TEST_KEY"))
    with pytest.raises(UnavailableError, match="SENSORIUM_TEST_KEY is not set"):
        load(made)
    monkeypatch.setenv("SENSORIUM_TEST_KEY", KEY)
    model = load(made)
    generated(model, prompt="a", max_tokens=1)
    model.close()
    assert server.keys == [f"Bearer {KEY}"]


def test_settings_that_were_fetched_are_not_followed(tmp_path, server, monkeypatch):
    monkeypatch.setenv("SENSORIUM_TEST_KEY", KEY)
    text = settings("oip", server.url, api_key="env:SENSORIUM_TEST_KEY")
    with pytest.raises(InvalidInputError, match="was fetched"):
        load(written(tmp_path, text, source="hf://somebody/model@main"))
    assert server.keys == []


def test_the_environment_has_no_say(remote, server, monkeypatch, tmp_path):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login a password b\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    assert generated(remote(), prompt="a", max_tokens=1)[-1].finish
    assert server.keys == [""]


def test_nobody_there(tmp_path):
    made = written(tmp_path, settings("openai", "http://127.0.0.1:9"))
    model = load(made)
    with pytest.raises(UnavailableError, match="cannot be reached"):
        generated(model, prompt="a")
    model.close()

    async def run():
        with pytest.raises(UnavailableError, match="cannot be reached"):
            await InProcess.load(made, OPTIONS, text=True)

    asyncio.run(run())
