"""Several servers of one model: who is asked, who is left alone, and what the caller hears."""

import asyncio
import time
from contextlib import aclosing

import pytest

from sensorium.core.asking import Embed, Rank, Scores, Tokenize, Tokens, Vectors
from sensorium.core.conversation import Message
from sensorium.core.errors import (
    DeadlineExceededError,
    InvalidInputError,
    NotSupportedError,
    OverloadedError,
    UnavailableError,
)
from sensorium.core.generation import Generation
from sensorium.models.backends import remote_upstreams
from sensorium.models.backends.remote_upstreams import Source, Sources
from sensorium.models.placement.remote import place
from sensorium.models.placing import Placer
from tests.models.backends.contract import OPTIONS, artifact, load, numbers
from tests.models.backends.remote_servers import KEY, served
from tests.models.backends.scripted_server import (
    CUT,
    SSE,
    STALL,
    chunk,
    event,
    scripted,
    status,
    whole,
    words,
)
from tests.models.backends.text_contract import text_of

GOOD = whole(*words(3))
TASK = Generation(messages=[Message(role="user", content="a")])
BAD_EVENT = chunk(b"data: {]\n\n")
BEFORE = {
    "nobody": None,
    "500": status(500),
    "503": status(503),
    "429": status(429, retry_after="7"),
    "401": status(401),
    "404": status(404),
    "silent": [STALL],
    "silent after the head": [SSE, STALL],
    "cut": [CUT],
    "cut after the head": [SSE, CUT],
    "malformed": [SSE, BAD_EVENT],
    "an error": [SSE, event({"error": {"message": "broken"}})],
    "ends": [SSE, b"0\r\n\r\n"],
    "no http": [b"hello\r\n\r\n"],
}
AFTER = {
    "cut": ([CUT], "broke off"),
    "stall": ([STALL], "silent for 2 s"),
    "malformed": ([BAD_EVENT], "not its protocol"),
}


@pytest.fixture
def servers():
    with scripted(*GOOD) as first, scripted(*GOOD) as second:
        yield first, second


def written(folder, first, second, more="", *, protocol="openai"):
    path = folder / "remote.toml"
    path.write_text(
        f'url = "{first}/v1"\nprotocol = "{protocol}"\nmodel = "m"\ntimeout_s = 2.0\n{more}\n'
        f'api_key = "{KEY}"\n[[upstream]]\nurl = "{second}/v1"\nmodel = "n"\n'
    )
    return artifact(path, "remote")


async def _placed(made):
    placed = await place(made, OPTIONS)
    assert placed is not None
    return placed


async def _text(placed):
    return text_of([piece async for piece in placed.generate(TASK)])


async def _into(found, placed):
    async with aclosing(placed.generate(TASK)) as pieces:
        async for piece in pieces:
            found += [piece]


@pytest.mark.parametrize("fault", BEFORE)
def test_before_the_first_token_the_next_is_asked(fault, servers, tmp_path):
    first, second = servers
    url = "http://127.0.0.1:9" if BEFORE[fault] is None else first.url

    async def main():
        placed = await _placed(written(tmp_path, url, second.url))
        if BEFORE[fault] is not None:
            first.script = BEFORE[fault]
        before = second.requests
        assert await _text(placed) == " w0 w1 w2"
        assert second.requests == before + 1
        asked = first.requests
        assert await _text(placed) == " w0 w1 w2"
        assert first.requests == asked, "who has failed is left alone for a while"
        await placed.close()

    asyncio.run(main())
    assert second.asked[-1][1]["model"] == "n"
    assert second.keys == [""] * second.requests, "a key goes to nobody else"


@pytest.mark.parametrize("fault", AFTER)
def test_after_the_first_token_the_text_ends_with_an_error(fault, servers, tmp_path):
    first, second = servers
    script, reason = AFTER[fault]

    async def main():
        placed = await _placed(written(tmp_path, first.url, second.url))
        first.script = [SSE, *words(40), *script]
        found = []
        with pytest.raises(UnavailableError, match=f"{reason}.*, after 40 pieces") as caught:
            await _into(found, placed)
        assert caught.value.details == {"pieces": 40}
        assert text_of(found) == "".join(f" w{number}" for number in range(40))
        assert not any(piece.finish for piece in found)
        assert second.requests == 0
        assert await _text(placed) == " w0 w1 w2"
        assert second.requests == 1
        await placed.close()

    asyncio.run(main())


def test_what_is_the_callers_fault_is_asked_nobody_else(servers, tmp_path):
    first, second = servers

    async def main():
        placed = await _placed(written(tmp_path, first.url, second.url))
        first.script = status(400)
        with pytest.raises(InvalidInputError, match="refuses this"):
            await _text(placed)
        first.script = GOOD
        assert await _text(placed)
        assert second.requests == 0
        await placed.close()

    asyncio.run(main())


def test_all_fail(servers, tmp_path):
    first, second = servers

    async def main():
        placed = await _placed(written(tmp_path, first.url, second.url))
        first.script, second.script = status(503), status(429, retry_after="9")
        with pytest.raises(UnavailableError, match=r"none of the 2 .*\(503\).*too much to do"):
            await _text(placed)
        second.script = GOOD
        assert await _text(placed) == " w0 w1 w2", "when all are left alone, all are asked"
        first.script = second.script = status(429, retry_after="9")
        with pytest.raises(OverloadedError) as caught:
            await _text(placed)
        assert caught.value.retry_after_s == 9
        await placed.close()

    asyncio.run(main())


def test_all_of_them_have_so_long_together(servers, tmp_path):
    first, second = servers

    async def main():
        placed = await _placed(written(tmp_path, first.url, second.url, "deadline_s = 1.0"))
        first.script = second.script = [STALL]
        began = time.perf_counter()
        with pytest.raises(DeadlineExceededError):
            await _text(placed)
        assert 0.95 < time.perf_counter() - began < 15.0
        await placed.close()

    asyncio.run(main())


def test_a_protocol_that_cannot_ask_for_it(servers, tmp_path):
    first, second = servers
    path = tmp_path / "remote.toml"
    path.write_text(
        f'url = "{first.url}"\nprotocol = "openai"\nmodel = "m"\n'
        f'[[upstream]]\nurl = "{second.url}"\nextended = true\n'
    )

    async def main():
        placed = await _placed(artifact(path, "remote"))
        held = Generation(messages=TASK.messages, grammar='root ::= "a"')
        assert text_of([piece async for piece in placed.generate(held)]) == " w0 w1 w2"
        assert (first.requests, second.requests) == (1, 1)
        assert await _text(placed)
        assert first.requests == 2, "that was no failure"
        with pytest.raises(NotSupportedError):
            await placed.ask(Tokenize(text="a", special=True), Tokens)
        await placed.close()
        with pytest.raises(UnavailableError, match="unloaded"):
            await _text(placed)

    asyncio.run(main())


def test_embeddings_and_tensors_go_to_the_next_too(tmp_path):
    with served() as first, served() as second:
        made = written(tmp_path, first.url, second.url, 'task = "embed"')

        async def main():
            placed = await _placed(made)
            first.fault = "500"
            found = await placed.ask(Embed(texts=["one", "two"]), Vectors)
            assert (found.dimensions, len(found.data), found.tokens) == (8, 64, 7)
            short = await placed.ask(Embed(texts=["one"], dimensions=3), Vectors)
            assert (short.dimensions, len(short.data)) == (3, 12)
            ranks = await placed.ask(Rank(query="one", documents=["two", "one"]), Scores)
            assert ranks.scores[0] < ranks.scores[1] == pytest.approx(1)
            await placed.close()

        asyncio.run(main())
        assert second.asked[-1][0] == "/v1/embeddings"
        path = tmp_path / "remote.toml"
        path.write_text(
            f'url = "{first.url}"\nprotocol = "oip"\nmodel = "calculator"\n'
            f'[[upstream]]\nurl = "{second.url}"\n'
        )
        first.fault = ""
        model = load(artifact(path, "remote"))
        for first.fault in ("503", "shapes", "garbage"):
            found = model.infer({"a": numbers(2), "b": numbers(2)}, ["sum"])["sum"]
            assert (found == numbers(2) * 2).all()
        first.fault = "400"
        model.close()
        assert second.asked[-1][0] == "/v2/models/calculator/infer"


def test_rests_grow_and_end(monkeypatch):
    now = 1000.0
    monkeypatch.setattr(remote_upstreams.time, "monotonic", lambda: now)
    first, second = Source("first", 1), Source("second", 2)
    sources = Sources([first, second])
    rests = []
    for _ in range(9):
        first.failed(UnavailableError())
        rests.append(first.rests_until - now)
    assert rests == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    second.failed(OverloadedError(retry_after_s=20))
    assert second.rests_until == now + 20
    assert list(sources.in_turn()) == [second, first], "all rest: who rested longest comes first"
    second.worked()
    first.worked()
    first.failed(UnavailableError())
    now += 1.5
    assert next(sources.in_turn()) is first, "it has rested"
    assert next(sources.in_turn()) is second, "one call tries how it is"
    first.worked()
    assert next(sources.in_turn()) is first


def test_an_idle_connection_that_was_closed_is_no_failure(servers, tmp_path):
    first, second = servers

    async def main():
        placed = await _placed(written(tmp_path, first.url, second.url))
        for _ in range(3):
            first.script = [*GOOD, CUT]
            assert await _text(placed)
        await placed.close()

    asyncio.run(main())
    assert second.requests == 0


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ("[[upstream]]\nmodel = 'x'\nnobody = 1", "unknown field"),
        ("[[upstream]]\nurl = 'ftp://host'", "url is http"),
        ("[[upstream]]\nprotocol = 'oip'", "or none does"),
        ("upstream = 3", "Expected `array`"),
        ("deadline_s = 0", "deadline_s"),
        ("api_key = 'a b'", "api_key cannot be used"),
    ],
)
def test_settings_that_are_none(tmp_path, more, reason):
    path = tmp_path / "remote.toml"
    path.write_text(f"url = 'http://host'\nprotocol = 'openai'\nmodel = 'a'\n{more}\n")
    with pytest.raises(InvalidInputError, match=reason):
        load(artifact(path, "remote"))


def test_where_it_is_placed(tmp_path):
    with served() as server:
        path = tmp_path / "remote.toml"
        for protocol, kind in (("ollama", "Remote"), ("oip", "InProcess")):
            path.write_text(
                f'url = "{server.url}"\nprotocol = "{protocol}"\nmodel = "calculator"\n'
            )

            async def main():
                placed = await Placer().place(artifact(path, "remote"), OPTIONS)
                await placed.close()
                return type(placed).__name__, placed.facts.parallel

            assert asyncio.run(main()) == (kind, 64 if kind == "Remote" else 0)
