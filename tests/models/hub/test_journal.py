"""What a journal says is there is there, whatever came in which order, and after a kill."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sensorium.models.hub import journal as module
from sensorium.models.hub.journal import BLOCK, Header, Journal


def header(size: int, **properties: str) -> Header:
    return Header(**{"url": "https://h/m", "etag": '"1"', "boot": "", **properties}, size=size)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 40),
    st.integers(-BLOCK + 1, 0),
    st.lists(st.tuples(st.integers(0, 39), st.integers(1, 10)), max_size=12),
    st.integers(1, 7),
)
def test_blocks_are_missing_until_they_are_marked(
    tmp_path_factory: pytest.TempPathFactory,
    blocks: int,
    short: int,
    marked: list[tuple[int, int]],
    longest: int,
) -> None:
    size = max(0, blocks * BLOCK + short)
    folder = tmp_path_factory.mktemp("j")
    journal = Journal(folder, "m")
    journal.begin(header(size))
    there: set[int] = set()
    for first, count in marked:
        start, end = first * BLOCK, min((first + count) * BLOCK, size)
        if start < size:
            journal.mark(start, end)
            there |= set(range(first, -(-end // BLOCK)))
    lengths = [min(BLOCK, size - n * BLOCK) for n in range(-(-size // BLOCK))]
    for seen in (journal, reopened(journal, folder)):
        assert seen.done_bytes == sum(lengths[n] for n in there)
        missing = seen.missing(longest * BLOCK)
        covered = [n for start, end in missing for n in range(start // BLOCK, -(-end // BLOCK))]
        assert covered == [n for n in range(len(lengths)) if n not in there]
        assert all(0 < end - start <= longest * BLOCK and end <= size for start, end in missing)
        gap = next((n for n in range(len(lengths)) if n not in there), None)
        assert seen.complete_from(0) == (size if gap is None else gap * BLOCK)
        seen.close()


def reopened(journal: Journal, folder: Path) -> Journal:
    journal.close()
    again = Journal(folder, "m")
    assert again.load() == journal.header
    assert again.resumed == journal.done_bytes
    return again


def test_a_part_of_a_block_is_not_there(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "m")
    journal.begin(header(3 * BLOCK))
    journal.mark(0, BLOCK - 1)
    journal.mark(BLOCK, 2 * BLOCK + 5)
    assert journal.missing(99 * BLOCK) == [(0, BLOCK), (2 * BLOCK, 3 * BLOCK)]
    journal.close()


def test_without_a_hash_a_journal_is_good_for_one_boot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(tmp_path, "m")
    journal.begin(header(BLOCK, boot=module.boot_id()))
    journal.close()
    again = Journal(tmp_path, "m")
    assert again.load() is not None
    again.close()
    monkeypatch.setattr(module, "boot_id", lambda: "another")
    assert Journal(tmp_path, "m").load() is None
    journal.begin(header(BLOCK))
    journal.close()
    again = Journal(tmp_path, "m")
    assert again.load() is not None
    again.close()


def test_what_does_not_fit_together_is_not_taken_up(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "m")
    assert journal.load() is None
    journal.begin(header(2 * BLOCK))
    journal.close()
    with journal.data.open("r+b") as data:
        data.truncate(BLOCK)
    assert Journal(tmp_path, "m").load() is None
    journal.data.unlink()
    assert Journal(tmp_path, "m").load() is None
    journal.discard()
    assert list(tmp_path.iterdir()) == []
