"""The doors to a conversation, so that one test can try what each of them must do."""

import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import httpx
import psutil

from tests.language.openai_words import MODEL, said
from tests.security.raw import request
from tests.servers import Server

LONG: Any = {"type": "array", "items": {"type": "integer"}, "minItems": 3000}
"""What is written until the model's context is full."""
Body = dict[str, Any]


@dataclass
class Heard:
    """What came of a stream."""

    status: int = 0
    text: str = ""
    error: str = ""
    """Its words; empty where there was none."""
    kind: str = ""
    """Its type or code, where the dialect has one."""
    whole: bool = False
    """It ended as the dialect has it, well or with an error."""
    pieces: int = 0
    took_s: float = 0.0

    def note(self, text: str) -> None:
        """Take up a piece."""
        self.text += text
        self.pieces += 1

    def fail(self, words: Any, kind: Any = "") -> None:
        """Take up an error, which ends it."""
        self.error, self.kind, self.whole = str(words), str(kind), True


@dataclass(frozen=True)
class Door:
    """How a conversation is asked for in a dialect, and how its stream reads."""

    name: str
    path: str
    ask: Callable[[str, str, int, Body | None], Body]
    """The body, of a model, what is said, a number of tokens and a schema."""
    hear: Callable[[Heard, str], None]
    """Take up a line."""
    many: Body
    """A thousand texts that end a text, where there may be so many answers, or stop texts."""

    def body(
        self,
        text: str,
        *,
        model: str = MODEL,
        max_tokens: int = 40,
        schema: Body | None = None,
        stream: bool = True,
        **more: Any,
    ) -> Body:
        """The body that asks for it, the likeliest tokens alone."""
        return {**self.ask(model, text, max_tokens, schema), "stream": stream, **more}

    def endless(self, model: str = MODEL) -> Body:
        """The body that asks for a text as long as the context."""
        return self.body("Count.", model=model, max_tokens=8000, schema=LONG)

    def bare(self, body: Body) -> bytes:
        """The request as bytes."""
        sent = json.dumps(self._fitting(body)).encode()
        return request("POST", self.path, "content-type: application/json", body=sent)

    def read(self, status: int, lines: Iterable[str]) -> Heard:
        """What an answer says, line by line."""
        heard = Heard(status)
        for line in lines:
            self.take(heard, line)
        return heard

    def take(self, heard: Heard, line: str) -> None:
        """Take up one line of an answer."""
        if heard.status != 200:
            found = json.loads(line)
            error = found.get("error", found)
            words = (
                error.get("message") or error.get("detail") if isinstance(error, dict) else error
            )
            heard.fail(words or found.get("message") or found.get("detail"))
        elif line.strip():
            self.hear(heard, line)

    def talk(self, http: httpx.Client, body: Body, **headers: str) -> Heard:
        """Ask, and hear it to its end."""
        began = time.perf_counter()
        sent = self._fitting(body)
        with http.stream("POST", self.path, json=sent, headers=headers) as answer:
            found = self.read(answer.status_code, answer.iter_lines())
        found.took_s = time.perf_counter() - began
        return found

    async def follow(
        self, http: httpx.AsyncClient, body: Body, begun: Callable[[], None], **headers: str
    ) -> Heard:
        """The same beside others; `begun` is called when the first piece is there."""
        sent = self._fitting(body)
        async with http.stream("POST", self.path, json=sent, headers=headers) as answer:
            heard = Heard(answer.status_code)
            async for line in answer.aiter_lines():
                self.take(heard, line)
                if heard.pieces:
                    begun()
            return heard

    def _fitting(self, body: Body) -> Body:
        """Our own door streams by its address."""
        if self.name != "own":
            return body
        return {name: value for name, value in body.items() if name != "stream"}


def model_of(server: Server) -> psutil.Process:
    """The process in which a server's one loaded model runs."""
    children = psutil.Process(server.process.pid).children(recursive=True)
    (model,) = (each for each in children if "sensorium.models.host:serve" in each.cmdline())
    return model


def _ask_own(model: str, text: str, max_tokens: int, schema: Body | None) -> Body:
    asked = {"model": model, "messages": said(text), "max_tokens": max_tokens, "temperature": 0}
    return {**asked, "json_schema": schema or {}}


def _hear_own(heard: Heard, line: str) -> None:
    found = json.loads(line)
    if "error" in found:
        heard.fail(found["error"]["message"], found["error"]["code"])
    elif "end" in found:
        heard.whole = True
    elif text := found["chunk"].get("text"):
        heard.note(text)


def _ask_openai(model: str, text: str, max_tokens: int, schema: Body | None) -> Body:
    asked = {"model": model, "messages": said(text), "max_tokens": max_tokens, "temperature": 0}
    if schema is not None:
        held = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}
        asked["response_format"] = held
    return asked


def _hear_openai(heard: Heard, line: str) -> None:
    data = line.removeprefix("data: ")
    if data == "[DONE]":
        heard.whole = True
    elif line.startswith("data: "):
        found = json.loads(data)
        if "error" in found:
            heard.fail(found["error"]["message"], found["error"]["type"])
        elif text := found["choices"][0]["delta"].get("content"):
            heard.note(text)


def _ask_anthropic(model: str, text: str, max_tokens: int, schema: Body | None) -> Body:
    asked = {"model": model, "messages": said(text), "max_tokens": max_tokens, "temperature": 0}
    if schema is not None:
        asked["output_config"] = {"format": {"type": "json_schema", "schema": schema}}
    return asked


def _hear_anthropic(heard: Heard, line: str) -> None:
    if not line.startswith("data: "):
        return
    found = json.loads(line.removeprefix("data: "))
    match found["type"]:
        case "error":
            heard.fail(found["error"]["message"], found["error"]["type"])
        case "message_stop":
            heard.whole = True
        case "content_block_delta":
            heard.note(found["delta"]["text"])


def _ask_ollama(model: str, text: str, max_tokens: int, schema: Body | None) -> Body:
    options = {"num_predict": max_tokens, "temperature": 0, "repeat_penalty": 1.0}
    asked = {"model": model, "messages": said(text), "options": options}
    return asked if schema is None else {**asked, "format": schema}


def _hear_ollama(heard: Heard, line: str) -> None:
    found = json.loads(line)
    if "error" in found:
        heard.fail(found["error"])
    elif found["done"]:
        heard.whole = True
    elif text := found["message"]["content"]:
        heard.note(text)


STOPS = [f"stop {number}" for number in range(1000)]
DOORS = (
    Door("own", "/v1/chat/stream", _ask_own, _hear_own, {"stop": STOPS}),
    Door("openai", "/v1/chat/completions", _ask_openai, _hear_openai, {"stop": STOPS}),
    Door("anthropic", "/v1/messages", _ask_anthropic, _hear_anthropic, {"stop_sequences": STOPS}),
    Door("ollama", "/api/chat", _ask_ollama, _hear_ollama, {"options": {"stop": STOPS}}),
)
