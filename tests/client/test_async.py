"""The client to be awaited."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing

import pytest

from sensorium.client import AsyncSensorium
from sensorium.core.errors import DeadlineExceededError, InvalidInputError
from tests.servers import Server

Use = Callable[[AsyncSensorium], Awaitable[None]]


@pytest.fixture(params=["here", "there"])
def run(request: pytest.FixtureRequest) -> Callable[[Use], None]:
    """Runs a coroutine with a client."""
    url = None
    if request.param == "there":
        server: Server = request.getfixturevalue("server")
        url = server.url

    async def with_client(use: Use) -> None:
        async with AsyncSensorium(url) as client:
            await use(client)

    return lambda use: asyncio.run(with_client(use))


def test_calls_run_at_the_same_time(run: Callable[[Use], None]) -> None:
    async def use(client: AsyncSensorium) -> None:
        names = ["testing.awaiting", "testing.thread", "testing.process", "testing.inline"] * 5
        calls = [client.call(name, token=str(n), seconds=0.05) for n, name in enumerate(names)]
        answers = await asyncio.gather(*calls)
        assert [answer.token for answer in answers] == [str(n) for n in range(len(names))]

    run(use)


def test_methods_and_errors(run: Callable[[Use], None]) -> None:
    async def use(client: AsyncSensorium) -> None:
        answer = await client.logs.cluster(lines=["disk full", "disk full"])
        assert answer.clusters[0].count == 2
        with pytest.raises(InvalidInputError, match=">= 1"):
            await client.logs.cluster(lines=[], max_clusters=0)
        with pytest.raises(DeadlineExceededError):
            await client.with_options(timeout_s=0.2).call("testing.thread", token="a", seconds=9.0)

    run(use)


@pytest.mark.parametrize("name", ["testing.mirror", "testing.mirror_async"])
def test_an_async_iterator_is_answered_while_it_goes_on(
    run: Callable[[Use], None], name: str
) -> None:
    async def use(client: AsyncSensorium) -> None:
        kind = client.operation(name).incoming
        assert kind is not None
        answered = asyncio.Semaphore(1)

        async def fed() -> AsyncIterator[object]:
            for token in "abc":
                async with asyncio.timeout(20):
                    await answered.acquire()
                yield kind(token=token)

        got = []
        async for item in client.stream(name, fed()):
            got.append(item.token)
            answered.release()
        assert got == ["a", "b", "c"]

    run(use)


def test_a_plain_iterator_that_blocks_does_not_block_the_loop(run: Callable[[Use], None]) -> None:
    async def use(client: AsyncSensorium) -> None:
        loop = asyncio.get_running_loop()

        def fed() -> Iterator[str]:
            # Only a loop that is free can say this.
            assert asyncio.run_coroutine_threadsafe(asyncio.sleep(0, "free"), loop).result(20)
            yield "disk full"

        kinds = [event.kind async for event in client.logs.watch(fed())]
        assert "summary" in kinds

    run(use)


def test_what_the_callers_iterator_raises_is_the_callers(run: Callable[[Use], None]) -> None:
    async def fed() -> AsyncIterator[str]:
        yield "a"
        raise LookupError("mine")

    async def use(client: AsyncSensorium) -> None:
        with pytest.raises(LookupError, match="mine"):
            _ = [event async for event in client.logs.watch(fed())]

    run(use)


def test_a_cancelled_call_leaves_the_client_well(run: Callable[[Use], None]) -> None:
    async def use(client: AsyncSensorium) -> None:
        call = asyncio.ensure_future(client.call("testing.thread", token="a", seconds=60.0))
        done, _ = await asyncio.wait({call}, timeout=0.2)
        assert not done
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        async with aclosing(client.stream("testing.count", None, count=10**6)) as items:
            assert (await anext(items)).index == 0
        assert (await client.system.echo(text="well")).text == "well"

    run(use)
