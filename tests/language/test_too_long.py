"""Texts that are longer than the model's context, in the words of each protocol."""

import re
from typing import Any

import httpx
import pytest

from tests.servers import Server

TEXT = "word " * 2000
SAID = [{"role": "user", "content": TEXT}]
NUMBERS = re.compile(r"has 200[0-9] tokens, and the model('s context| takes) 256: shorten it")
OPENAI: list[tuple[str, dict[str, Any]]] = [
    ("/v1/chat/completions", {"messages": SAID}),
    ("/v1/chat/completions", {"messages": SAID, "stream": True}),
    ("/v1/completions", {"prompt": TEXT}),
    ("/v1/completions", {"prompt": TEXT, "stream": True}),
    ("/v1/embeddings", {"input": [TEXT]}),
    ("/v1/responses", {"input": TEXT}),
]
ANTHROPIC: dict[str, Any] = {"messages": SAID, "max_tokens": 9}
OLLAMA: list[tuple[str, dict[str, Any]]] = [
    ("/api/chat", {"messages": SAID}),
    ("/api/chat", {"messages": SAID, "stream": False}),
    ("/api/generate", {"prompt": TEXT}),
    ("/api/generate", {"prompt": TEXT, "stream": False}),
    ("/api/embed", {"input": TEXT, "truncate": False}),
]
OURS: list[tuple[str, dict[str, Any]]] = [
    ("/v1/chat/complete", {"messages": SAID}),
    ("/v1/chat/stream", {"messages": SAID}),
    ("/v1/text/complete", {"prompt": TEXT}),
    ("/v1/text/stream", {"prompt": TEXT}),
    ("/v1/text/embed", {"texts": ["short", TEXT]}),
]


def posted(server: Server, path: str, body: dict[str, Any]) -> httpx.Response:
    with server.client() as http:
        return http.post(path, json={"model": "tinylm", **body})


@pytest.mark.parametrize(("path", "body"), OPENAI)
def test_openai_has_a_code_for_it(path: str, body: dict[str, Any], server: Server) -> None:
    answer = posted(server, path, body)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert (error["type"], error["code"]) == ("invalid_request_error", "context_length_exceeded")
    assert NUMBERS.search(error["message"])


@pytest.mark.parametrize("stream", [False, True])
def test_anthropic_calls_it_an_invalid_request(stream: bool, server: Server) -> None:
    answer = posted(server, "/v1/messages", {**ANTHROPIC, "stream": stream})
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["type"] == "invalid_request_error"
    assert "prompt is too long" in error["message"]  # by which agents know it
    assert NUMBERS.search(error["message"])


@pytest.mark.parametrize(("path", "body"), OLLAMA)
def test_ollama_says_it(path: str, body: dict[str, Any], server: Server) -> None:
    answer = posted(server, path, body)
    assert answer.status_code == 400
    assert NUMBERS.search(answer.json()["error"])


@pytest.mark.parametrize(("path", "body"), OURS)
def test_ours_has_both_numbers(path: str, body: dict[str, Any], server: Server) -> None:
    answer = posted(server, path, body)
    assert answer.status_code == 422
    told = answer.json()
    details = told.get("details") or told["error"]["details"]
    assert details["context"] == 256
    assert 2000 <= details["prompt_tokens"] < 2010
