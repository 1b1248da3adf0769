"""Faults of a remote model's servers, as callers of a live server hear of them."""

import asyncio
from pathlib import Path

import httpx
import openai
import pytest

from sensorium.app import App, load_settings
from sensorium.capabilities.language.schema import ConversationRequest, ConversationResponse
from sensorium.core.conversation import Message
from sensorium.core.dispatch import Caller
from sensorium.core.errors import UnavailableError
from tests.models.backends.scripted_server import (
    CUT,
    SSE,
    STALL,
    Scripted,
    chunk,
    scripted,
    whole,
    words,
)
from tests.servers import Server, serving

FAULTS = {"cut": [CUT], "stall": [STALL], "malformed": [chunk(b"data: {]\n\n"), *words(3)]}
ASK = [{"role": "user", "content": "hello"}]
TOLD = "".join(f" w{number}" for number in range(40))


@pytest.fixture(scope="module")
def upstreams():
    with scripted(*whole(*words(3))) as first, scripted(*whole(*words(3))) as second:
        yield first, second


@pytest.fixture(scope="module")
def live(upstreams, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    first, second = upstreams
    for name, further in (("alone", ""), ("both", f'[[upstream]]\nurl = "{second.url}/v1"\n')):
        (folder / name).mkdir()
        (folder / name / "remote.toml").write_text(
            f'url = "{first.url}/v1"\nprotocol = "openai"\nmodel = "m"\ntimeout_s = 2.0\n{further}'
        )
    with serving(environ={"SENSORIUM_MODEL_CACHE_PATH": str(folder)}) as server:
        yield server


@pytest.fixture
def first(upstreams, live):
    """The first upstream, which is well whenever a test begins, and not left alone."""
    told, second = upstreams
    told.script = second.script = whole(*words(3))
    with live.client() as http:
        for name in ("alone", "both"):
            http.post("/v1/models/unload", json={"model": name})
            body = {"model": name, "messages": ASK}
            assert http.post("/v1/chat/complete", json=body).status_code == 200
    return told


@pytest.fixture
def client(live):
    with openai.OpenAI(base_url=f"{live.url}/v1", api_key="any", max_retries=0) as found:
        yield found


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("model", ["alone", "both"])
def test_within_a_text(fault: str, model: str, first: Scripted, client: openai.OpenAI) -> None:
    first.script = [SSE, *words(40), *FAULTS[fault]]
    said: list[str] = []
    stream = client.chat.completions.create(model=model, messages=ASK, stream=True)
    with pytest.raises(openai.APIError, match="after 40 pieces of the text"):
        said += (each.choices[0].delta.content or "" for each in stream)
    assert "".join(said) == TOLD
    first.script = [SSE, *words(40), *FAULTS[fault]]
    with pytest.raises(openai.InternalServerError) as caught:
        client.chat.completions.create(model="alone", messages=ASK)
    assert caught.value.status_code == 503
    assert "after 40 pieces of the text" in caught.value.message


@pytest.mark.parametrize("fault", FAULTS)
def test_before_a_text(fault: str, first: Scripted, client: openai.OpenAI) -> None:
    first.script = [SSE, *FAULTS[fault][:1]]
    found = client.chat.completions.create(model="both", messages=ASK)
    assert found.choices[0].message.content == " w0 w1 w2"
    parts = [*client.chat.completions.create(model="both", messages=ASK, stream=True)]
    assert "".join(each.choices[0].delta.content or "" for each in parts) == " w0 w1 w2"
    assert parts[-1].choices[0].finish_reason == "stop"
    with pytest.raises(openai.InternalServerError):
        client.chat.completions.create(model="alone", messages=ASK)


@pytest.mark.parametrize("fault", FAULTS)
def test_our_own_stream_ends_with_the_error(fault: str, first: Scripted, live: Server) -> None:
    first.script = [SSE, *words(40), *FAULTS[fault]]
    with live.client() as http:
        body = {"model": "alone", "messages": ASK}
        answer = http.post(
            "/v1/chat/stream", json=body, headers={"accept": "text/event-stream"}, timeout=60
        )
        assert answer.status_code == 200
        events = [each for each in answer.text.split("\n\n") if each]
        assert "event: error" in events[-1]
        assert '"unavailable"' in events[-1]
        assert "after 40 pieces" in events[-1]
    raw = httpx.post(
        f"{live.url}/v1/chat/completions", json={**body, "stream": True}, timeout=60
    ).text
    assert '"error"' in raw.strip().split("\n\n")[-1]
    assert "[DONE]" not in raw


def test_through_chat_complete(upstreams, tmp_path: Path) -> None:
    first, second = upstreams
    second.script = whole(*words(3))
    folder = tmp_path / "models" / "both"
    folder.mkdir(parents=True)
    (folder / "remote.toml").write_text(
        f'url = "{first.url}/v1"\nprotocol = "openai"\nmodel = "m"\ntimeout_s = 2.0\n'
        f'[[upstream]]\nurl = "{second.url}/v1"\n'
    )

    async def complete(app: App) -> str:
        request = ConversationRequest(
            model="both", messages=[Message(role="user", content="hello")]
        )
        answer = (await app.dispatcher.call("chat.complete", request, Caller())).value
        assert isinstance(answer, ConversationResponse)
        return answer.choices[0].message.content

    async def main() -> None:
        settings = load_settings({"data_dir": str(tmp_path)}, environ={}, directory=tmp_path)
        async with App(settings, isolated=False).running() as app:
            first.script = whole(*words(2))
            assert await complete(app) == " w0 w1"
            first.script = [SSE, *words(40), CUT]
            with pytest.raises(UnavailableError, match="after 40 pieces"):
                await complete(app)
            assert await complete(app) == " w0 w1 w2"

    asyncio.run(main())
