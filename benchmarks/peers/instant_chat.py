"""An OpenAI server that answers at once, always the same: whole, or as a stream. Its argument is
the port."""

import asyncio
import json
import sys

import uvloop

WORDS = [f" word{number}" for number in range(16)]
ABOUT = {"id": "c", "created": 1, "model": "m"}
USAGE = {"prompt_tokens": 9, "completion_tokens": len(WORDS), "total_tokens": 9 + len(WORDS)}
HEAD = "HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\n{length}\r\n\r\n"


def whole() -> bytes:
    """The answer at once."""
    message = {"role": "assistant", "content": "".join(WORDS)}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    answer = {**ABOUT, "object": "chat.completion", "choices": [choice], "usage": USAGE}
    body = json.dumps(answer)
    length = f"content-length: {len(body)}"
    return (HEAD.format(kind="application/json", length=length) + body).encode()


def streamed() -> bytes:
    """The answer as a stream, an event for each word."""
    deltas = [{"role": "assistant", "content": ""}, *({"content": word} for word in WORDS), {}]
    told = [
        {"choices": [{"index": 0, "delta": each, "finish_reason": None if each else "stop"}]}
        for each in deltas
    ]
    about = {**ABOUT, "object": "chat.completion.chunk"}
    events = [json.dumps({**about, **each}) for each in [*told, {"choices": [], "usage": USAGE}]]
    parts = [f"data: {each}\n\n" for each in [*events, "[DONE]"]]
    chunks = "".join(f"{len(part):x}\r\n{part}\r\n" for part in parts)
    head = HEAD.format(kind="text/event-stream", length="transfer-encoding: chunked")
    return (head + chunks + "0\r\n\r\n").encode()


WHOLE, STREAMED = whole(), streamed()


class Answering(asyncio.Protocol):
    """One connection."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        self._transport = transport
        self._read = b""

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        self._read += data
        head, _, body = self._read.partition(b"\r\n\r\n")
        size = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        if len(body) < int(size or 0) or b"\r\n\r\n" not in self._read:
            return
        self._read = b""
        stream = json.loads(body or b"{}").get("stream")
        self._transport.write(STREAMED if stream else WHOLE)  # type: ignore[attr-defined]


async def main() -> None:
    """Serve for ever."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Answering, "127.0.0.1", int(sys.argv[1]))
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
