"""Small servers that speak the protocols of remote models, and can be told to fail."""

import asyncio
import json
import random
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

WORDS = ("Once", "there", "was", "a", "small", "fox", "who", "lived", "by", "the", "river")
KEY = "sk-a-secret-of-mine"


@dataclass
class Served:
    """A server: how it shall fail, and what it was asked."""

    url: str = ""
    fault: str = ""
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    elsewhere: list[str] = field(default_factory=list)
    given_up: threading.Event = field(default_factory=threading.Event)
    connections: set[Any] = field(default_factory=set)


@contextmanager
def served() -> Iterator[Served]:
    """A server on a free port of this machine."""
    told = Served()
    routes = [
        Route("/v1/chat/completions", _openai(told, chat=True), methods=["POST"]),
        Route("/v1/completions", _openai(told, chat=False), methods=["POST"]),
        Route("/v1/embeddings", _embeddings(told), methods=["POST"]),
        Route("/api/chat", _ollama(told), methods=["POST"]),
        Route("/api/generate", _ollama(told), methods=["POST"]),
        Route("/api/embed", _embed(told), methods=["POST"]),
        Route("/v2/models/calculator", _metadata(told)),
        Route("/v2/models/calculator/infer", _infer(told), methods=["POST"]),
        Route("/elsewhere", _elsewhere(told), methods=["GET", "POST"]),
    ]
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen()
    config = uvicorn.Config(
        Starlette(routes=routes), log_level="critical", lifespan="off", timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    told.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    try:
        yield told
    finally:
        server.should_exit = True
        thread.join(60)
        listening.close()


def _refused(told: Served) -> Response | None:
    """The answer to a request that shall fail at once."""
    message = f"no: {KEY}"
    match told.fault:
        case "429":
            return JSONResponse({"error": {"message": message}}, 429, {"retry-after": "7"})
        case "500" | "503" | "400" | "401" | "404":
            return JSONResponse({"error": {"message": message}}, int(told.fault))
        case "redirect":
            return RedirectResponse("/elsewhere", 307)
        case "garbage":
            return Response(b"{]", media_type="application/json")
        case "html":
            return Response(b"<html>hello</html>", media_type="text/html")
    return None


async def _read(told: Served, request: Request) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(await request.body())
    told.asked.append((request.url.path, body))
    told.keys.append(request.headers.get("authorization", ""))
    told.connections.add(request.client)
    return body


def _text(body: dict[str, Any], options: dict[str, Any], limit: int) -> tuple[list[str], str]:
    """The words that a prompt is answered with, and why they end."""
    messages = body.get("messages") or [{"content": body.get("prompt", "")}]
    chance = random.Random(str(messages[-1]["content"]))
    if options.get("temperature"):
        chance.seed(f"{messages[-1]['content']}{options.get('seed')}")
    words = [f" {chance.choice(WORDS)}" for _ in range(40)]
    if limit < len(words):
        words, reason = words[:limit], "length"
    else:
        reason = "stop"
    for stop in options.get("stop") or []:
        whole = "".join(words)
        if stop in whole:
            words, reason = [whole[: whole.index(stop)]], "stop"
    return words, reason


def _openai(told: Served, *, chat: bool) -> Any:
    async def answer(request: Request) -> Response:
        body = await _read(told, request)
        refusal = _refused(told)
        if refusal is not None:
            return refusal
        words, reason = _text(body, body, body.get("max_tokens") or body["max_completion_tokens"])
        return StreamingResponse(
            _watched(told, _events(told, words, reason, body, chat)), media_type="text/event-stream"
        )

    return answer


async def _watched(told: Served, lines: Any) -> Any:
    try:
        async for line in lines:
            yield line
    except (asyncio.CancelledError, GeneratorExit):
        told.given_up.set()
        raise


async def _events(
    told: Served, words: list[str], reason: str, body: dict[str, Any], chat: bool
) -> Any:
    yield ": a comment\n\n"
    for number, word in enumerate(words):
        choice = {"delta": {"content": word}} if chat else {"text": word}
        if body.get("logprobs"):
            top = [{"token": f"t{n}", "logprob": -0.5 - n} for n in range(body["top_logprobs"])]
            choice["logprobs"] = {"content": [{**top[0], "top_logprobs": top}]}
        yield f"data: {json.dumps({'choices': [{'index': 0, **choice}]})}\n\n"
        if number == 1:
            fault = await _within(told)
            if fault is not None:
                yield fault
                return
        await asyncio.sleep(0.005)
    yield f"data: {json.dumps({'choices': [{'delta': {}, 'finish_reason': reason}]})}\n\n"
    usage = {"prompt_tokens": 5, "completion_tokens": len(words)}
    yield f"data: {json.dumps({'choices': [], 'usage': usage})}\n\n"
    if told.fault != "no done":
        yield "data: [DONE]\n\n"


async def _within(told: Served) -> str | None:
    """What comes instead of the rest of a text."""
    match told.fault:
        case "cut":
            raise ConnectionError("the server dies here")
        case "end":
            return ""
        case "stall":
            await asyncio.sleep(30)
        case "bad line":
            return "data: {]\n\n"
        case "error":
            return f"data: {json.dumps({'error': {'message': f'broken: {KEY}'}})}\n\n"
        case "filter":
            choice = {"delta": {}, "finish_reason": "content_filter"}
            return f"data: {json.dumps({'choices': [choice]})}\n\ndata: [DONE]\n\n"
        case "long line":
            return "data: " + "x" * (5 << 20)
    return None


def _ollama(told: Served) -> Any:
    async def answer(request: Request) -> Response:
        body = await _read(told, request)
        refusal = _refused(told)
        if refusal is not None:
            return refusal
        options = body["options"]
        words, reason = _text(body, options, options["num_predict"])
        return StreamingResponse(
            _watched(told, _objects(told, words, reason, "messages" in body)),
            media_type="application/x-ndjson",
        )

    return answer


async def _objects(told: Served, words: list[str], reason: str, chat: bool) -> Any:
    for number, word in enumerate(words):
        said = {"message": {"role": "assistant", "content": word}} if chat else {"response": word}
        yield json.dumps({**said, "done": False}) + "\n"
        if number == 1:
            fault = await _within(told)
            if fault is not None:
                yield (
                    fault.removeprefix("data: ")
                    if told.fault != "error"
                    else (json.dumps({"error": f"broken: {KEY}"}) + "\n")
                )
                return
        await asyncio.sleep(0.005)
    counts = {"prompt_eval_count": 5, "eval_count": len(words)}
    yield json.dumps({"done": True, "done_reason": reason, **counts})


def _vector(text: str) -> list[float]:
    chance = random.Random(text)
    return [chance.uniform(-3, 3) for _ in range(8)]


def _embeddings(told: Served) -> Any:
    async def answer(request: Request) -> Response:
        body = await _read(told, request)
        refusal = _refused(told)
        if refusal is not None:
            return refusal
        data = [{"index": n, "embedding": _vector(t)} for n, t in enumerate(body["input"])]
        if told.fault == "few":
            data.pop()
        return JSONResponse({"data": data[::-1], "usage": {"prompt_tokens": 7, "total_tokens": 7}})

    return answer


def _embed(told: Served) -> Any:
    async def answer(request: Request) -> Response:
        body = await _read(told, request)
        return JSONResponse({"embeddings": [_vector(text) for text in body["input"]]})

    return answer


def _metadata(told: Served) -> Any:
    async def answer(request: Request) -> Response:
        refusal = _refused(told)
        if refusal is not None:
            return refusal
        told.keys.append(request.headers.get("authorization", ""))
        spec = {"datatype": "FP32", "shape": [-1, 3]}
        return JSONResponse(
            {
                "name": "calculator",
                "platform": "numpy",
                "inputs": [{"name": name, **spec} for name in ("a", "b")],
                "outputs": [{"name": name, **spec} for name in ("sum", "product")],
            }
        )

    return answer


def _infer(told: Served) -> Any:
    import numpy as np

    async def answer(request: Request) -> Response:
        body = await request.body()
        at = int(request.headers["inference-header-content-length"])
        head = json.loads(body[:at])
        told.asked.append((request.url.path, head))
        if told.fault == "stall":
            await asyncio.sleep(30)
        refusal = _refused(told)
        if refusal is not None:
            return refusal
        arrays = {}
        for each in head["inputs"]:
            size = each["parameters"]["binary_data_size"]
            arrays[each["name"]] = np.frombuffer(body[at : at + size], np.float32).reshape(
                each["shape"]
            )
            at += size
        made = {"sum": arrays["a"] + arrays["b"], "product": arrays["a"] * arrays["b"]}
        outputs, blobs = [], []
        for each in head["outputs"]:
            value = made[each["name"]]
            shown: dict[str, Any] = {"name": each["name"], "datatype": "FP32"}
            shown["shape"] = [9, 9] if told.fault == "shapes" else list(value.shape)
            if told.fault == "json":
                shown["data"] = value.tolist()
            else:
                shown["parameters"] = {"binary_data_size": value.nbytes}
                blobs.append(value.tobytes())
            outputs.append(shown)
        reply = json.dumps({"model_name": "calculator", "outputs": outputs}).encode()
        headers = {"inference-header-content-length": str(len(reply))} if blobs else {}
        return Response(b"".join([reply, *blobs]), headers=headers)

    return answer


def _elsewhere(told: Served) -> Any:
    async def answer(request: Request) -> Response:
        told.elsewhere.append(request.headers.get("authorization", ""))
        return JSONResponse({})

    return answer
