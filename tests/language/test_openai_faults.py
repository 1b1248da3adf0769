"""What goes wrong on the way: large and broken bodies, clients that leave, callers side by side."""

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest

from tests.faults.observing import until
from tests.language.lasting import lasting
from tests.language.openai_words import FRANCE, GREEDY, MODEL, PARIS, connect, said
from tests.language.test_openai_errors import ENDLESS
from tests.security.raw import connected, request, status, talk, until_closed
from tests.servers import Server, serving

CHAT = "/v1/chat/completions"
JSON_TYPE = "content-type: application/json"
SLOTS = 4
EMOJI = "🦊👋🏽🇫🇷 so"


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose model makes so many texts at once, long ones, and no others."""
    with serving(environ=lasting(tmp_path_factory.mktemp("models"))) as running:
        with running.client() as http:
            asked = {"model": MODEL, "options": {"parallel": SLOTS}}
            assert http.post("/v1/models/load", json=asked).status_code == 200
        yield running


def answers_as_ever(server: Server) -> None:
    with connect(server) as client:
        found = client.chat.completions.create(model=MODEL, messages=said(FRANCE), temperature=0)
    assert found.choices[0].message.content == PARIS


def error_of(found: httpx.Response) -> Any:
    return found.json()["error"]


@pytest.mark.parametrize("size", [9_900_000, 11_000_000])
def test_a_prompt_of_ten_megabytes_holds_nobody_up(own: Server, size: int) -> None:
    waits: list[float] = []
    over = threading.Event()

    def others() -> None:
        with own.client() as http:
            while not over.is_set():
                began = time.perf_counter()
                assert http.get("/v1/health").status_code == 200
                waits.append(time.perf_counter() - began)

    neighbour = threading.Thread(target=others)
    neighbour.start()
    try:
        with own.client(timeout=100.0) as http:
            body = {"model": MODEL, "messages": said("word " * (size // 5))}
            found = http.post(CHAT, json=body)
    finally:
        over.set()
        neighbour.join()
    assert found.status_code in (400, 413)
    assert error_of(found)["message"]
    assert max(waits, default=0.0) < 2
    answers_as_ever(own)


def test_a_body_over_the_bound_is_refused(own: Server) -> None:
    with serving(environ={"SENSORIUM_MAX_BODY_BYTES": "100000"}) as small, small.client() as http:
        body = json.dumps({"model": MODEL, "messages": said("x" * 100_000)}).encode()
        for sent in (body, iter([body[:50_000], body[50_000:]])):
            found = http.post(CHAT, content=sent, headers={"content-type": "application/json"})
            assert found.status_code == 413
            assert "at most 100000 bytes" in error_of(found)["message"]
        answers_as_ever(small)
    endless = request("POST", CHAT, JSON_TYPE, f"content-length: {1 << 40}", body=b"{")
    assert status(talk(own, endless)) == 413


@pytest.mark.parametrize("path", [CHAT, "/v1/completions", "/v1/embeddings", "/v1/responses"])
@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "JSON"),
        (b"hello", "JSON"),
        (b'{"model": "tinylm", ', "JSON"),
        (b"[1, 2]", "object"),
        (b'{"model": "tinylm", "messages": [{"role": "user", "content": "\xff\xfe"}]}', ""),
        (b'{"model": "\xc3("}', "UTF-8"),
        (b'{"x": ' + b"[" * 200_000 + b"]" * 200_000 + b"}", "deep"),
        (b'{"messages": ' + b'{"a":' * 5_000 + b"1" + b"}" * 5_000 + b"}", ""),
        (b" " * 2_000_000 + b"nothing", "JSON"),
    ],
)
def test_a_body_that_is_none(server: Server, path: str, body: bytes, says: str) -> None:
    with server.client() as http:
        found = http.post(path, content=body, headers={"content-type": "application/json"})
    assert found.status_code == 400
    assert says in error_of(found)["message"]
    assert error_of(found)["type"] == "invalid_request_error"


def test_a_schema_that_is_too_deep(server: Server) -> None:
    deep: Any = {"type": "object"}
    for _ in range(400):
        deep = {"type": "object", "properties": {"a": deep}}
    tool = {"type": "function", "name": "f", "parameters": deep}
    text = {"format": {"type": "json_schema", "name": "n", "schema": deep}}
    with server.client() as http:
        for more in ({"tools": [tool]}, {"text": text}):
            body = {"model": MODEL, "input": FRANCE, "max_output_tokens": 4, **more}
            assert http.post("/v1/responses", json=body).status_code in (200, 400)
    answers_as_ever(server)


def test_a_compressed_body_is_read_and_a_bomb_is_not(server: Server) -> None:
    import gzip

    headers = {"content-type": "application/json", "content-encoding": "gzip"}
    body = json.dumps({"model": MODEL, "messages": said(FRANCE), "temperature": 0}).encode()
    with server.client() as http:
        found = http.post(CHAT, content=gzip.compress(body), headers=headers)
        assert found.json()["choices"][0]["message"]["content"] == PARIS
        bomb = gzip.compress(b" " * (100 << 20))
        assert http.post(CHAT, content=bomb, headers=headers).status_code == 413


@pytest.mark.parametrize("stream", [True, False])
def test_an_emoji_of_several_tokens_stays_whole(server: Server, stream: bool) -> None:
    asked: Any = {
        "model": MODEL,
        "messages": said("Wave!"),
        "extra_body": {"grammar": f'root ::= "{EMOJI}"'},
    }
    with connect(server) as client:
        if stream:
            chunks = client.chat.completions.create(**asked, stream=True)
            parts = [each.choices[0].delta.content or "" for each in chunks]
            assert "".join(parts) == EMOJI
            assert not any("\N{REPLACEMENT CHARACTER}" in each for each in parts)
        else:
            found = client.chat.completions.create(**asked)
            assert found.choices[0].message.content == EMOJI


def in_use(http: httpx.Client) -> int:
    """How many texts are being made, or wait."""
    (loaded,) = http.post("/v1/models/list", json={"loaded": True}).json()["loaded"]
    found: int = loaded["in_use"]
    return found


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_leaves_gives_its_slot_back(own: Server, stream: bool) -> None:
    """All slots are taken by long texts; their callers leave; another is served at once."""
    body = json.dumps({**ENDLESS, "stream": stream}).encode()
    sent = request("POST", CHAT, JSON_TYPE, body=body)
    with own.client() as http:
        for _ in range(3):
            until(lambda: in_use(http) == 0, 10, "nothing is being made")
            with connected(own) as a, connected(own) as b, connected(own) as c, connected(own) as d:
                for each in (a, b, c, d):
                    each.sendall(sent)
                if stream:
                    for each in (a, b, c, d):
                        each.recv(4096)
                until(lambda: in_use(http) > SLOTS, 10, "all slots are taken, and more wait")
            until(lambda: in_use(http) == 0, 1, "nothing is being made")
    answers_as_ever(own)


@pytest.mark.parametrize("interface", ["chat", "completions", "responses"])
def test_closing_a_stream_of_the_client_ends_the_text(own: Server, interface: str) -> None:
    with connect(own) as client, own.client() as http:
        stream: Any
        match interface:
            case "chat":
                stream = client.chat.completions.create(**ENDLESS, stream=True)
            case "completions":
                more = {name: value for name, value in ENDLESS.items() if name != "messages"}
                stream = client.completions.create(**more, prompt=["a", "b"], stream=True)
            case _:
                schema = {"type": "array", "items": {"type": "integer"}, "minItems": 3000}
                text: Any = {"format": {"type": "json_schema", "name": "n", "schema": schema}}
                stream = client.responses.create(
                    model=MODEL, input="Count.", text=text, max_output_tokens=8000, stream=True
                )
        next(iter(stream))
        until(lambda: in_use(http) > 0, 10, "a text is being made")
        stream.close()
        until(lambda: in_use(http) == 0, 2.0, "nothing is being made")


@pytest.mark.parametrize("sent", ["head", "half", "most of a large one"])
def test_a_client_that_leaves_before_its_body_is_there(own: Server, sent: str) -> None:
    body = json.dumps({"model": MODEL, "messages": said("x" * 3_000_000)}).encode()
    small = json.dumps({"model": MODEL, "messages": said(FRANCE)}).encode()
    whole = body if sent.startswith("most") else small
    head = request("POST", CHAT, JSON_TYPE, f"content-length: {len(whole)}")
    part = {"head": b"", "half": small[:20]}.get(sent, body[:-10])
    for _ in range(5):
        with connected(own) as sock:
            sock.sendall(head + part)
    with own.client() as http:
        until(lambda: in_use(http) == 0, 2.0, "nothing is being made")
    answers_as_ever(own)


def test_a_client_that_leaves_before_the_first_token(own: Server) -> None:
    """It waits behind others for a slot, and is gone before it has one."""
    long = request("POST", CHAT, JSON_TYPE, body=json.dumps({**ENDLESS, "stream": True}).encode())
    with own.client() as http:
        until(lambda: in_use(http) == 0, 10, "nothing is being made")
        with connected(own) as a, connected(own) as b, connected(own) as c, connected(own) as d:
            for each in (a, b, c, d):
                each.sendall(long)
            before = SLOTS * ENDLESS["n"]
            until(lambda: in_use(http) == before, 10, "all slots are taken, and more wait")
            with connected(own) as waiting:
                waiting.sendall(long)
                until(lambda: in_use(http) > before, 2, "it waits")
            until(lambda: in_use(http) <= before, 2, "it has left")
        until(lambda: in_use(http) == 0, 2.0, "nothing is being made")


def test_a_stream_over_a_bare_connection_ends_as_it_should(server: Server) -> None:
    body = json.dumps({"model": MODEL, "messages": said(FRANCE), "stream": True}).encode()
    with connected(server) as sock:
        sock.sendall(request("POST", CHAT, JSON_TYPE, body=body))
        heard = until_closed(sock)
    assert status(heard) == 200
    assert b"text/event-stream" in heard
    assert b"data: [DONE]\n\n" in heard


def test_no_token_goes_to_another_caller(server: Server) -> None:
    """32 streams side by side, with one seed and many prompts, are each as if alone."""
    prompts = [
        *GREEDY,
        *(f"What is {left} plus {right}?" for left in range(3, 9) for right in (4, 7, 9)),
    ][:32]
    assert len(prompts) == 32

    async def text(client: openai.AsyncOpenAI, prompt: str) -> str:
        stream = await client.chat.completions.create(
            model=MODEL,
            messages=said(prompt),
            temperature=0,
            seed=1,
            max_tokens=120,
            stream=True,
        )
        return "".join([each.choices[0].delta.content or "" async for each in stream])

    async def main() -> None:
        base_url = f"{server.url}/v1"
        async with openai.AsyncOpenAI(base_url=base_url, api_key="x", max_retries=0) as client:
            alone = [await text(client, prompt) for prompt in prompts]
            together = await asyncio.gather(*(text(client, prompt) for prompt in prompts))
        for prompt, expected, found in zip(prompts, alone, together, strict=True):
            assert found == expected, prompt

    asyncio.run(main())
