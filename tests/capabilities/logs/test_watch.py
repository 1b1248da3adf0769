"""`logs.watch`: events, bounded memory, no influence of order, snapshots."""

import random
import string
import tracemalloc
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from sensorium.capabilities.logs import masking, records, store
from sensorium.capabilities.logs import watch as engine
from sensorium.capabilities.logs.operations import watch
from sensorium.capabilities.logs.watch_schema import (
    MAX_SIGNATURES,
    MAX_TOKENS,
    WatchEvent,
    WatchInput,
    WatchRequest,
    WatchSnapshot,
    WatchSummary,
)
from sensorium.core.errors import InvalidInputError
from sensorium.core.operation import Work
from tests.capabilities.logs.test_compare import traffic

SMALL = 2_000


@pytest.fixture(autouse=True)
def small_store(monkeypatch: pytest.MonkeyPatch) -> None:
    """A memory that a short flood fills; the limits keep their proportions."""
    monkeypatch.setattr(store, "MAX_SIGNATURES", SMALL)
    monkeypatch.setattr(store, "FAMILY_LIMITS", (SMALL // 4, SMALL // 8, SMALL // MAX_TOKENS))
    monkeypatch.setattr(masking, "WORD_CACHE_SIZE", 5_000)
    monkeypatch.setattr(records, "LINE_CACHE_CHARS", 500_000)
    monkeypatch.setattr(engine, "MAX_TABLE_CHARS", 500_000)


def run(lines: list[str], *, chunk: int = 700, **options: Any) -> list[WatchEvent]:
    def chunks() -> Iterator[WatchInput]:
        for start in range(0, len(lines), chunk):
            yield WatchInput(lines=lines[start : start + chunk])

    request = WatchRequest(**{"max_clusters": MAX_SIGNATURES, **options})
    return list(watch(request, chunks(), Work()))


def last(events: list[WatchEvent]) -> WatchSummary:
    summary = [event.summary for event in events if event.kind == "summary"][-1]
    assert summary is not None
    assert summary.final
    return summary


def snapshot(events: list[WatchEvent]) -> WatchSnapshot:
    found = events[-1].snapshot
    assert found is not None
    return msgspec.json.decode(msgspec.json.encode(found), type=WatchSnapshot)


def flood(size: int, words: int) -> list[str]:
    rng = random.Random(5)
    return [
        " ".join("".join(rng.choices(string.ascii_lowercase, k=7)) for _ in range(words))
        for _ in range(size)
    ]


def test_a_new_pattern_is_told_once() -> None:
    lines = traffic(3_000, 1)
    lines[2_500:2_500] = ["ERROR disk /dev/sda1 has no space left"] * 5
    told = [event.pattern for event in run(lines) if event.kind == "pattern"]
    assert [found.template for found in told if found] == ["ERROR disk <*> has no space left"]
    assert told[0] is not None
    assert told[0].label == "Disk errors"


def test_a_rate_change_is_told() -> None:
    lines = traffic(8_000, 1) + [
        line for n, line in enumerate(traffic(1_000, 2)) for line in (line, f"retrying call {n}")
    ]
    told = [event.rate for event in run(lines) if event.kind == "rate"]
    assert told
    assert all(found and found.cluster.template == "retrying call <*>" for found in told)


@pytest.mark.parametrize("seed", range(5))
def test_steady_traffic_is_quiet(seed: int) -> None:
    kinds = [event.kind for event in run(traffic(12_000, seed))]
    assert kinds == ["summary", "summary", "snapshot"]


@pytest.mark.parametrize(
    "lines",
    [
        traffic(5_000, 1),
        traffic(1_000, 1) + [f"user {word} logged in" for word in flood(2_000, 1)],
        traffic(500, 1) + flood(4_000, 4),
    ],
    ids=["traffic", "one-varies", "all-vary"],
)
def test_order_and_chunks_do_not_matter(lines: list[str]) -> None:
    shuffled = lines[:]
    random.Random(6).shuffle(shuffled)
    one, other = run(lines), run(shuffled, chunk=1_300)
    assert last(one).clusters == last(other).clusters
    assert snapshot(one).families == snapshot(other).families
    assert sum(found.count for found in last(one).clusters) == len(lines)


def test_memory_is_bounded_whatever_arrives() -> None:
    def peak(size: int) -> int:
        def chunks() -> Iterator[WatchInput]:
            for start in range(0, size, 1_000):
                rng = random.Random(start)
                yield WatchInput(
                    lines=[f"{rng.random()} {rng.randbytes(12)!r}" for _ in range(500)]
                    + flood(1, 3)
                    + [f"a {rng.getrandbits(64):x}{'q' * 9}" * 3] * 499
                )

        request = WatchRequest(include_snapshot=False, summary_lines=10**6)
        tracemalloc.start()
        for _ in watch(request, chunks(), Work()):
            pass
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    small, large = peak(20_000), peak(40_000)
    assert large < 1.3 * small


def test_a_flood_is_kept_coarsely_and_the_rest_exactly() -> None:
    summary = last(run(traffic(2_000, 1) + flood(3_000, 5)))
    assert summary.coarsened
    assert len(snapshot(run(flood(3_000, 5))).families) <= SMALL
    counts = {found.template: found.count for found in summary.clusters}
    assert counts["job <*> finished"] == sum("finished" in line for line in traffic(2_000, 1))


def test_a_watch_goes_on_from_a_snapshot() -> None:
    lines = traffic(6_000, 1)
    whole = last(run(lines))
    half = snapshot(run(lines[:3_000]))
    resumed = last(run(lines[3_000:], snapshot=half))
    assert [(c.id, c.count) for c in resumed.clusters] == [(c.id, c.count) for c in whole.clusters]
    assert resumed.lines == whole.lines


def test_a_flooded_watch_goes_on_from_a_snapshot() -> None:
    lines = traffic(500, 1) + flood(3_000, 4) + traffic(500, 2)
    whole = last(run(lines))
    resumed = last(run(lines[2_000:], snapshot=snapshot(run(lines[:2_000]))))
    assert [(c.id, c.count) for c in resumed.clusters] == [(c.id, c.count) for c in whole.clusters]


def test_a_snapshot_holds_no_secrets() -> None:
    events = run(["login of bob@example.org password=hunter2hunter"] * 3, mask_secrets=False)
    text = msgspec.json.encode(snapshot(events)).decode()
    assert "hunter2" not in text
    assert "bob@" not in text


@pytest.mark.parametrize(
    "families",
    [
        [{"signatures": [], "columns": None}],
        [{"signatures": [{"tokens": ["a"], "text": "a", "count": 1}], "columns": [["a"], ["b"]]}],
        [
            {
                "signatures": [
                    {"tokens": ["a"], "text": "a", "count": 1},
                    {"tokens": ["b", "c"], "text": "b c", "count": 1},
                ]
            }
        ],
        [
            {
                "signatures": [
                    {"tokens": ["a", "b"], "text": "a b", "count": 1},
                    {"tokens": ["x", "y"], "text": "x y", "count": 1},
                ]
            }
        ],
        [{"signatures": [{"tokens": [f"a{n}"], "text": "a", "count": 1}]} for n in range(SMALL)]
        + [{"signatures": [{"tokens": ["b", "b"], "text": "b b", "count": 1}]}],
    ],
)
def test_a_snapshot_that_does_not_hold_together_is_refused(families: list[Any]) -> None:
    data = {"version": 1, "lines": 1, "records": 1, "level": 0, "families": families}
    with pytest.raises((InvalidInputError, msgspec.ValidationError)):
        run(["a"], snapshot=msgspec.convert(data, WatchSnapshot))


def test_an_empty_stream_ends_with_a_summary() -> None:
    events = run([])
    assert [event.kind for event in events] == ["summary", "snapshot"]
    assert last(events).clusters == []
