"""Texts through the door for OpenAI's clients, by a client that does as little as one can.

python -m benchmarks.texts_openai PORT
"""

import asyncio
import os
import sys
import time
from contextlib import suppress

import msgspec
import uvloop

from benchmarks.load import AHEAD, post
from benchmarks.texts import BIAS, END, Ask, Text, answer, asked, prompt

PATH = "/v1/chat/completions"
DATA = b"data: "
OVER = b"0\r\n\r\n"
USAGE = b'"completion_tokens":'
WAITING_S = 0.01
"""Whoever waits for a place has had so long to take its turn before another leaves."""


class _Stream(asyncio.Protocol):
    """One connection: a text, and then the next."""

    def __init__(self, ask: Ask, number: int, found: list[Text]) -> None:
        loop = asyncio.get_running_loop()
        self.begun: asyncio.Future[None] = loop.create_future()
        self.over: asyncio.Future[None] = loop.create_future()
        self._ask = ask
        self._number = number
        self._found = found
        self._left = ask.texts
        self._heard: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]
        self._send()

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter()
        pieces = data.count(DATA)
        if pieces and not self._text.first:
            self._text.first = now
            if not self.begun.done():
                self.begun.set_result(None)
        self._text.pieces += pieces
        self._text.last = now
        self._heard.append(data)
        if data.endswith(OVER):
            self._ended()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.over.done():
            self.over.set_result(None)

    def leave(self) -> None:
        """Be gone in the middle of a text."""
        self._text.left = time.perf_counter()
        self._transport.abort()

    def _send(self) -> None:
        number = self._ask.first + self._number * self._ask.texts + self._left - 1
        self._left -= 1
        self._text = Text(stream=self._number, asked=time.perf_counter())
        self._found.append(self._text)
        self._heard.clear()
        self._transport.write(_request(prompt(number), self._ask.max_tokens))

    def _ended(self) -> None:
        heard = b"".join(self._heard)
        assert heard.startswith(b"HTTP/1.1 200"), heard[:1000]
        self._text.tokens = int(heard.rpartition(USAGE)[2].partition(b",")[0])
        if self._left:
            self._send()
        else:
            self.over.set_result(None)
            self._transport.close()


def _request(question: str, max_tokens: int) -> bytes:
    body = {
        "model": "tinylm",
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": max_tokens,
        "temperature": 0.8,
        "top_p": 0.95,
        "seed": 1,
        "logit_bias": {str(END): BIAS},
        "messages": [{"role": "user", "content": question}],
    }
    return post(PATH, msgspec.json.encode(body))


async def _all(port: int, ask: Ask) -> list[Text]:
    found: list[Text] = []
    loop = asyncio.get_running_loop()

    async def stream(number: int) -> _Stream:
        made = _Stream(ask, number, found)
        await loop.create_connection(lambda: made, "127.0.0.1", port)
        return made

    streams = [await stream(number) for number in range(ask.streams)]
    if ask.leave:
        await asyncio.gather(*(each.begun for each in streams))
        streams.append(await stream(ask.streams))
        await asyncio.sleep(WAITING_S)
        for each in streams[: ask.leave]:
            each.leave()
    await asyncio.gather(*(each.over for each in streams))
    return found


def main(port: int) -> None:
    """Ask for what is to be made, until nothing more is."""
    with suppress(PermissionError):
        os.nice(AHEAD)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        for ask in asked():
            answer(runner.run(_all(port, ask)))


if __name__ == "__main__":
    main(int(sys.argv[1]))
