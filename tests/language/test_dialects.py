"""What the dialects of OpenAI, Anthropic and Ollama have in common."""

import json
from base64 import b64encode, encodebytes
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from sensorium.capabilities.language.schema import Chunk
from tests.language.scripted import Script, scripted
from tests.servers import serving

SAID: Any = {"model": "tinylm", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}
PATHS = ("/v1/chat/completions", "/v1/messages", "/api/chat")
PIECE = 10_000


@pytest.fixture(scope="module")
def played() -> Iterator[tuple[Script, httpx.Client]]:
    with scripted() as (script, url), httpx.Client(base_url=url) as http:
        yield script, http


def is_ours(path: str, body: dict[str, Any]) -> bool:
    """Whether an error is in the form of the path's dialect."""
    error = body["error"]
    if path == "/api/chat":
        return list(body) == ["error"] and isinstance(error, str)
    return (body.get("type") == "error") is (path == "/v1/messages") and bool(error["type"])


@pytest.mark.parametrize("path", PATHS)
def test_what_nobody_foresaw_ends_in_the_dialects_own_form(
    path: str, played: tuple[Script, httpx.Client], caplog: pytest.LogCaptureFixture
) -> None:
    script, http = played
    script.whole = RuntimeError("a secret")
    answer = http.post(path, json={**SAID, "stream": False})
    assert answer.status_code == 500
    assert is_ours(path, answer.json())
    assert "secret" not in answer.text
    assert "RuntimeError: a secret" in caplog.text


@pytest.mark.parametrize("path", PATHS)
def test_so_does_a_stream_that_has_begun(
    path: str, played: tuple[Script, httpx.Client], caplog: pytest.LogCaptureFixture
) -> None:
    script, http = played
    script.chunks = [Chunk(text="so far"), RuntimeError("a secret")]
    answer = http.post(path, json={**SAID, "stream": True})
    assert answer.status_code == 200
    last = answer.text.strip().splitlines()[-1].removeprefix("data: ")
    assert is_ours(path, json.loads(last))
    assert "so far" in answer.text
    assert "secret" not in answer.text
    assert "RuntimeError: a secret" in caplog.text


def test_bodies_have_one_bound() -> None:
    body = json.dumps({**SAID, "stream": False}).encode()
    with serving(environ={"SENSORIUM_MAX_BODY_BYTES": "100000"}) as small, small.client() as http:
        for path in PATHS:
            pieces = [body[:-1], *[b" " * PIECE] * 10, b"}"]
            for sent in (b"".join(pieces), iter(pieces)):
                answer = http.post(path, content=sent)
                assert answer.status_code == 413
                assert is_ours(path, answer.json())
                assert "at most 100000 bytes" in answer.text
            assert http.post(path, content=body).status_code == 200


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("in_lines", [False, True])
def test_a_picture_of_many_bytes_arrives_as_it_was(
    path: str, in_lines: bool, played: tuple[Script, httpx.Client]
) -> None:
    """It is read on a thread, and checked by no more than its first bytes."""
    script, http = played
    script.whole = RuntimeError()
    file = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 8000
    text = encodebytes(file).decode() if in_lines else b64encode(file).decode()
    part: dict[str, Any] = {"role": "user", "content": "Hi", "images": [text]}
    if path == PATHS[0]:
        url = f"data:image/png;base64,{text}"
        part = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}
    elif path == PATHS[1]:
        source = {"type": "base64", "media_type": "image/png", "data": text}
        part = {"role": "user", "content": [{"type": "image", "source": source}]}
    http.post(path, json={**SAID, "messages": [part], "stream": False})
    (picture,) = script.last("chat.complete")["messages"][0]["images"]
    assert picture["data"] == file
