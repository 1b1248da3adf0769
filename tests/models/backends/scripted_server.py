"""A server that answers just what a test has written down, and fails where that says so."""

import asyncio
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

CUT = "cut"
STALL = "stall"
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: %s\r\ntransfer-encoding: chunked\r\n\r\n"
SSE = HEAD % b"text/event-stream"
NDJSON = HEAD % b"application/x-ndjson"
END = b"0\r\n\r\n"


@dataclass
class Scripted:
    """A server: what it says to each request, and what it was asked."""

    url: str = ""
    script: list[bytes | str] = field(default_factory=list)
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    requests: int = 0


def chunk(data: bytes) -> bytes:
    """A part of a body."""
    return b"%x\r\n%s\r\n" % (len(data), data)


def event(value: Any) -> bytes:
    """A server-sent event."""
    return chunk(b"data: " + json.dumps(value).encode() + b"\n\n")


def delta(reason: str | None = None, **said: Any) -> bytes:
    """An event of OpenAI's protocol."""
    return event({"choices": [{"index": 0, "delta": said, "finish_reason": reason}]})


def words(count: int) -> list[bytes | str]:
    """So many tokens."""
    return [delta(content=f" w{number}") for number in range(count)]


def whole(*parts: bytes | str) -> list[bytes | str]:
    """A text with its end."""
    return [SSE, *parts, delta("stop"), chunk(b"data: [DONE]\n\n"), END]


def status(code: int, **headers: str) -> list[bytes | str]:
    """A refusal."""
    body = json.dumps({"error": {"message": "no"}}).encode()
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    head = f"HTTP/1.1 {code} No\r\ncontent-length: {len(body)}\r\n{lines}\r\n"
    return [head.encode() + body]


@contextmanager
def scripted(*script: bytes | str, tls: ssl.SSLContext | None = None) -> Iterator[Scripted]:
    """A server on a free port of this machine."""
    told = Scripted(script=list(script))
    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(
        asyncio.start_server(lambda r, w: _serve(told, r, w), "127.0.0.1", 0, ssl=tls)
    )
    scheme = "https" if tls else "http"
    told.url = f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    with _running(loop, server):
        yield told


@contextmanager
def _running(loop: asyncio.AbstractEventLoop, server: asyncio.Server) -> Iterator[None]:
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield
    finally:
        asyncio.run_coroutine_threadsafe(_stop(server), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(60)
        loop.close()


async def _stop(server: asyncio.Server) -> None:
    server.close()
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _serve(
    told: Scripted, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            first, *lines = head.strip().split("\r\n")
            headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in lines)}
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            told.requests += 1
            told.asked.append((first.split()[1], json.loads(body or b"{}")))
            told.keys.append(headers.get("authorization", ""))
            if not await _play(told.script, writer):
                break
    writer.transport.abort()


@contextmanager
def tunnelling() -> Iterator[Scripted]:
    """A proxy that leads wherever it is told to."""
    told = Scripted()
    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(
        asyncio.start_server(lambda r, w: _tunnel(told, r, w), "127.0.0.1", 0)
    )
    told.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    with _running(loop, server):
        yield told


async def _tunnel(
    told: Scripted, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        told.keys.append(head)
        host, _, port = head.split()[1].rpartition(":")
        inner, outer = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
        await asyncio.gather(_pipe(reader, outer), _pipe(inner, writer))


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    finally:
        writer.transport.abort()


async def _play(script: list[bytes | str], writer: asyncio.StreamWriter) -> bool:
    for step in script:
        if step == STALL:
            await asyncio.sleep(30)
        elif step == CUT:
            return False
        else:
            assert isinstance(step, bytes)
            writer.write(step)
            await writer.drain()
    return True
