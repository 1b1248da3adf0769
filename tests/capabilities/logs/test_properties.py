"""What holds for whatever lines."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from sensorium.capabilities.logs.masking import seamed, tokens_of
from sensorium.capabilities.logs.merging import merge
from sensorium.capabilities.logs.operations import cluster
from sensorium.capabilities.logs.redaction import redact
from sensorium.capabilities.logs.schema import ClusterRequest, ClusterResponse
from sensorium.core.operation import Work

WORDS = st.sampled_from(
    ["user", "for", "alice", "bob", "carol", "dave", "erin", "failed", "open", "10.0.0.1", "42"]
) | st.sampled_from(
    ["state=up", "a.b.c", "[x]", '"q r"', "INFO", "2024-05-01", "12:00:00", "/x/y", "=", "(", ""]
)
LINE = st.one_of(
    st.lists(WORDS, max_size=7).map(" ".join),
    st.text(max_size=40),
    st.tuples(st.just("2024-05-01 12:00:00 INFO a.b:"), WORDS, WORDS).map(" ".join),
)
LINES = st.lists(LINE, max_size=40)


def call(lines: list[str], **options: object) -> ClusterResponse:
    return cluster(ClusterRequest(lines=lines, **options), Work())  # type: ignore[arg-type]


@given(LINES, st.sampled_from(["templates", "kmeans"]), st.integers(1, 50))
@settings(max_examples=60, deadline=None)
def test_counts_and_assignments_agree(lines: list[str], method: str, most: int) -> None:
    answer = call(lines, method=method, max_clusters=most)
    assert answer.assignments is not None
    assert len(answer.assignments) == len(lines) == answer.line_count
    for place, found in enumerate(answer.clusters):
        mine = [index for index, to in enumerate(answer.assignments) if to == place]
        assert (found.count, found.first_index, found.last_index) == (
            len(mine),
            mine[0],
            mine[-1],
        )
        assert 1 <= found.records <= found.count
    assert answer.assignments.count(-1) == answer.other.count
    assert sum(theme.count for theme in answer.themes) + answer.other.count == len(lines)


@given(LINES, st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_the_order_of_records_does_not_matter(lines: list[str], rng: random.Random) -> None:
    # A line that continues the one before it has a meaning only where it stands.
    alone = [f"x{line}".replace("\n", " ") for line in lines]
    shuffled = alone[:]
    rng.shuffle(shuffled)
    found = {(c.id, c.template, c.count) for c in call(alone, max_clusters=1_000).clusters}
    again = {(c.id, c.template, c.count) for c in call(shuffled, max_clusters=1_000).clusters}
    assert found == again


@given(LINES)
@settings(max_examples=40, deadline=None)
def test_saying_everything_twice_only_doubles_counts(lines: list[str]) -> None:
    alone = [f"x{line}".replace("\n", " ") for line in lines]
    once = {(c.id, c.count) for c in call(alone, max_clusters=1_000).clusters}
    twice = {(c.id, c.count // 2) for c in call(alone * 2, max_clusters=1_000).clusters}
    assert once == twice


@given(st.lists(st.lists(WORDS, min_size=1, max_size=6).map(" ".join), max_size=60))
@settings(max_examples=60, deadline=None)
def test_a_pattern_fits_every_key_that_it_stands_for(keys: list[str]) -> None:
    signatures = {tokens_of(seamed(key)) for key in keys}
    for tokens, pattern in merge(signatures).items():
        assert len(tokens) == len(pattern)
        assert all(p in (t, "\x01") for t, p in zip(tokens, pattern, strict=True))


@given(st.text(max_size=200))
@settings(max_examples=100, deadline=None)
def test_masking_twice_is_masking_once(text: str) -> None:
    once = redact(text)
    assert redact(once) == once
