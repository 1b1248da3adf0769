"""Streams in process and on a server, fed and left in every way."""

import threading
from collections.abc import Iterator
from contextlib import closing

import pytest

from sensorium.capabilities.metrics.schema import WatchInput
from sensorium.client import Sensorium
from sensorium.core.errors import InvalidInputError
from sensorium.core.types import Series
from tests.faults.observing import until
from tests.servers import Server

COUNTS = ["testing.count", "testing.count_async"]
MIRRORS = ["testing.mirror", "testing.mirror_async"]


def tokens(client: Sensorium, *names: str) -> list[object]:
    """Items for a mirror, of the class that the client knows."""
    kind = client.operation("testing.mirror").incoming
    assert kind is not None
    return [kind(token=name) for name in names]


@pytest.mark.parametrize("name", COUNTS)
def test_items_come_in_order(client: Sensorium, name: str) -> None:
    assert [item.index for item in client.stream(name, None, count=100)] == list(range(100))


@pytest.mark.parametrize("name", COUNTS)
def test_an_error_comes_after_the_items_before_it(client: Sensorium, name: str) -> None:
    items = client.stream(name, None, count=5, fail_after=2)
    assert [next(items).index, next(items).index] == [0, 1]
    with pytest.raises(InvalidInputError, match="failed where it was told to"):
        next(items)


@pytest.mark.parametrize("name", MIRRORS)
def test_answers_come_while_the_input_goes_on(client: Sensorium, name: str) -> None:
    answered = threading.Semaphore(1)

    def fed() -> Iterator[object]:
        for token in tokens(client, *"abcde"):
            assert answered.acquire(timeout=20), "no answer came to the item before"
            yield token

    got = []
    for item in client.stream(name, fed()):
        got.append((item.index, item.token))
        answered.release()
    assert got == list(enumerate("abcde"))


@pytest.mark.parametrize("name", MIRRORS)
def test_a_collection_is_fed_too(client: Sensorium, name: str) -> None:
    many = [f"t{number}" for number in range(2000)]
    assert [item.token for item in client.stream(name, tokens(client, *many))] == many


@pytest.mark.parametrize("name", MIRRORS)
def test_what_the_callers_iterator_raises_is_the_callers(client: Sensorium, name: str) -> None:
    own = KeyError("mine")

    def fed() -> Iterator[object]:
        yield from tokens(client, "a")
        raise own

    with pytest.raises(KeyError) as raised:
        list(client.stream(name, fed()))
    assert raised.value is own


def test_an_item_of_the_wrong_kind_is_refused(client: Sensorium) -> None:
    with pytest.raises(InvalidInputError, match=r"metrics\.watch takes WatchInput, not str"):
        list(client.metrics.watch(["a"]))  # type: ignore[list-item]


def test_a_bad_item_is_refused_where_it_is_read(client: Sensorium) -> None:
    bad = WatchInput(series=[Series(values=["x"])])  # type: ignore[list-item]
    with pytest.raises(InvalidInputError, match="got `str`") as refused:
        list(client.metrics.watch([bad]))
    assert refused.value.details == {"at": "$.series[0].values[0]"}


def test_options_reach_a_listening_operation(client: Sensorium) -> None:
    with pytest.raises(InvalidInputError, match="<= 10000"):
        list(client.metrics.watch([], max_series=10_001))
    *_, last = client.metrics.watch([], method="sigma")
    assert last.snapshot is not None
    assert last.snapshot.method == "sigma"
    *_, resumed = client.metrics.watch([], method="sigma", resume=last.snapshot)
    assert resumed.snapshot == last.snapshot


def test_lines_may_be_fed_as_text(client: Sensorium) -> None:
    events = client.logs.watch(iter(["disk a full\n", "disk b full\n"]))
    (summary,) = [each.summary for each in events if each.summary is not None]
    assert summary.lines == 2


@pytest.mark.parametrize("name", COUNTS)
def test_leaving_a_stream_ends_it(server: Server, name: str) -> None:
    with Sensorium(server.url) as there:
        with closing(there.stream(name, None, count=10_000_000)) as items:
            assert next(items).index == 0
            assert next(items).index == 1

        def ended() -> bool:
            found = {each.operation: each for each in there.system.activity().operations}
            return found[name].in_flight == 0

        until(ended, 10)


def test_leaving_while_the_input_blocks_returns_at_once(server: Server) -> None:
    never = threading.Event()

    def fed() -> Iterator[object]:
        yield from tokens(there, "a")
        never.wait()

    with Sensorium(server.url) as there, closing(there.stream("testing.mirror", fed())) as items:
        assert next(items).token == "a"
    never.set()
