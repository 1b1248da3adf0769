"""Streams in a protocol's words: when the response begins, what keeps it alive, how it ends."""

import asyncio
from collections.abc import AsyncGenerator, Iterable
from typing import Any

import pytest
from msgspec import Struct

from sensorium.core.dispatch import Answer
from sensorium.core.errors import SensoriumError, UnavailableError
from sensorium.transports.http import speaking
from sensorium.transports.http.exchange import Exchange
from sensorium.transports.http.speaking import speak

SOON_S = 0.01


class Word(Struct):
    """An item."""

    text: bytes


class Words:
    """A protocol of the tests' own, with an item in two parts."""

    media_type = b"text/plain"
    keep_alive = b"~"

    def begin(self) -> Iterable[bytes]:
        return (b"<", b"<")

    def item(self, answer: Answer) -> Iterable[bytes]:
        assert isinstance(answer.value, Word)
        return (b"(" + answer.value.text, answer.value.text + b")")

    def end(self) -> Iterable[bytes]:
        return (b">",)

    def fail(self, error: SensoriumError) -> Iterable[bytes]:
        return (b"!",)


class Client:
    """The other end of a connection, which may be slow to read."""

    def __init__(self, slow_s: float = 0.0) -> None:
        self.heard: list[bytes] = []
        self.over = False
        self.gone = asyncio.Event()
        self.news = asyncio.Event()
        self._slow_s = slow_s

    def exchange(self) -> Exchange:
        made = Exchange({"headers": []}, self._receive, self._send, 1.0)
        made._body_read.set()
        return made

    async def _receive(self) -> dict[str, Any]:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        await asyncio.sleep(self._slow_s)
        if message["type"] == "http.response.body":
            self.heard.append(message["body"])
            self.over = not message["more_body"]
            self.news.set()


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speaking, "FIRST_WAIT_S", SOON_S)
    monkeypatch.setattr(speaking, "KEEP_ALIVE_S", SOON_S)


async def when(client: Client, least: int) -> None:
    async with asyncio.timeout(30):
        while len(client.heard) < least:
            client.news.clear()
            await client.news.wait()


def no_other_task() -> bool:
    return asyncio.all_tasks() == {asyncio.current_task()}


def test_while_nothing_comes_it_is_kept_alive() -> None:
    async def main() -> None:
        client = Client()

        async def items() -> AsyncGenerator[Answer, None]:
            await when(client, 5)
            yield Answer(Word(b"a"))
            await when(client, 9)
            yield Answer(Word(b"b"))

        await speak(client.exchange(), items(), Words())
        heard = b"".join(client.heard)
        assert heard.startswith(b"<<~~~")
        assert heard.endswith(b"(bb)>")
        assert heard.replace(b"~", b"") == b"<<(aa)(bb)>"
        assert b"(aa)~" in heard
        assert client.over
        await asyncio.sleep(0)
        assert no_other_task()

    asyncio.run(main())


@pytest.mark.parametrize("slow_s", [0.0, SOON_S / 2, SOON_S * 2])
def test_a_slow_reader_hears_whole_items(slow_s: float) -> None:
    async def main() -> None:
        client = Client(slow_s)

        async def items() -> AsyncGenerator[Answer, None]:
            for number in range(10):
                await asyncio.sleep(SOON_S * (number % 3))
                yield Answer(Word(b"%d" % number))

        await speak(client.exchange(), items(), Words())
        expected = b"<<" + b"".join(b"(%d%d)" % (n, n) for n in range(10)) + b">"
        assert b"".join(client.heard).replace(b"~", b"") == expected
        for number in range(10):
            assert b"(%d%d)" % (number, number) in b"".join(client.heard)

    asyncio.run(main())


@pytest.mark.parametrize("late", [False, True])
def test_an_error_ends_it_in_its_words_once_it_has_begun(late: bool) -> None:
    async def main() -> None:
        client = Client()

        async def items() -> AsyncGenerator[Answer, None]:
            if late:
                await when(client, 2)
            raise UnavailableError
            yield

        if late:
            await speak(client.exchange(), items(), Words())
            assert b"".join(client.heard).replace(b"~", b"") == b"<<!"
            assert client.over
        else:
            with pytest.raises(UnavailableError):
                await speak(client.exchange(), items(), Words())
            assert client.heard == []
        await asyncio.sleep(0)
        assert no_other_task()

    asyncio.run(main())


def test_a_stream_of_nothing_begins_and_ends() -> None:
    async def main() -> None:
        client = Client()

        async def items() -> AsyncGenerator[Answer, None]:
            return
            yield

        await speak(client.exchange(), items(), Words())
        assert client.heard == [b"<", b"<", b">"]

    asyncio.run(main())


def test_whoever_leaves_ends_what_makes_the_items() -> None:
    async def main() -> None:
        client = Client()
        ended = asyncio.Event()

        async def items() -> AsyncGenerator[Answer, None]:
            try:
                yield Answer(Word(b"a"))
                client.gone.set()
                await asyncio.Event().wait()
            finally:
                ended.set()

        with pytest.raises(SensoriumError):
            await speak(client.exchange(), items(), Words())
        assert ended.is_set()
        await asyncio.sleep(0)
        assert no_other_task()

    asyncio.run(main())
