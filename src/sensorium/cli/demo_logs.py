"""What the demonstration asks of the log operations, and what must come back.

What is expected of the samples was counted in the files by hand, so input in another order, or
none, does not pass.
"""

from collections.abc import Sequence
from pathlib import Path

from sensorium.capabilities.logs.schema import Change, ClusterResponse
from sensorium.capabilities.logs.watch_schema import WatchEvent, WatchInput
from sensorium.cli.demo_told import Own, Told, sample_lines
from sensorium.client import Sensorium

POSTGRES = "postgres.log.gz"
POSTGRES_LINES = 2750
PLANTED = (
    ("password authentication failed for user", "Auth errors", 8, 20, 2045),
    ("canceling statement due to statement timeout", "Timeouts", 23, 52, 2703),
    ("No space left on device", "Disk errors", 4, 1380, 1416),
)
"""Words, label, lines with them, index of the first and of the last."""
NEW = ("Backend did not answer within", "Mail for order <*> sent")
GONE = ("Giving up on mail for order", "Mail for order <*> failed")
OLD = ("from store in", "Payment PAY", "placed:")
"""Words of the patterns that came with, went with and outlived the sample's new release."""
BATCH = 50


def cluster(client: Sensorium, own: Own) -> Told:
    """`logs.cluster`: planted counts, places and labels."""
    lines = own.lines() if own.log else sample_lines(POSTGRES)
    told = Told(f"{Path(own.log or POSTGRES).name}, {len(lines):,} lines")
    with told.timed():
        answer = client.logs.cluster(lines=lines)
    told.answer = f"{len(answer.clusters):,} patterns; {_subjects(answer)}"
    _expect_structure(told, answer, len(lines))
    if not own.log:
        told.expect(len(lines) == POSTGRES_LINES, "the sample is not whole")
        for planted in PLANTED:
            _expect_planted(told, answer, *planted)
    return told


def _subjects(answer: ClusterResponse) -> str:
    named = [theme for theme in answer.themes if theme.name not in ("", "other")]
    return ", ".join(f"{theme.label} {theme.count:,}" for theme in named[:3]) or "no known subject"


def _expect_structure(told: Told, answer: ClusterResponse, size: int) -> None:
    clusters = answer.clusters
    total = sum(each.count for each in clusters) + answer.other.count
    told.expect(size > 0, "there are no lines")
    told.expect(total == answer.line_count == size, "the counts do not add up to the lines")
    told.expect(
        all(0 <= each.first_index <= each.last_index < size for each in clusters),
        "a cluster begins after its end, or beyond the lines",
    )
    assigned = answer.assignments or []
    told.expect(len(assigned) == size, "some lines have no cluster")
    told.expect(
        all(
            assigned[each.first_index] == assigned[each.last_index] == number
            and assigned.count(number) == each.count
            for number, each in enumerate(clusters[:20])
        ),
        "lines and clusters contradict each other",
    )


def _expect_planted(
    told: Told, answer: ClusterResponse, words: str, label: str, count: int, first: int, last: int
) -> None:
    found = [each for each in answer.clusters if words in each.template]
    told.expect(sum(each.count for each in found) == count, f"not {count} lines of {words!r}")
    told.expect({each.label for each in found} == {label}, f"{words!r} is not labelled {label!r}")
    places = [(each.first_index, each.last_index) for each in found] or [(-1, -1)]
    reach = min(begin for begin, _ in places), max(end for _, end in places)
    told.expect(reach == (first, last), f"{words!r} is at {reach}, not at {(first, last)}")


def compare(client: Sensorium, own: Own) -> Told:
    """`logs.compare`: exactly the patterns that came and went with a release."""
    before, after = _sides(own)
    told = Told(_sides_shown(own, before, after))
    with told.timed():
        answer = client.logs.compare(before=before, after=after)
    told.answer = (
        f"{len(answer.new)} new, {len(answer.gone)} gone, {len(answer.changed)} changed in rate"
    )
    sizes = (answer.before_lines, answer.after_lines)
    told.expect(sizes == (len(before), len(after)), "lines were lost")
    if not own.log:
        _expect_exactly(told, "new", answer.new, NEW)
        _expect_exactly(told, "gone", answer.gone, GONE)
        rates = [each for each in answer.changed if "from store in" in each.template]
        grown = [each.factor for each in rates if each.factor and each.factor > 2]
        told.expect(len(grown) == 1, "the rate of loads from the store has not grown")
    return told


def _sides(own: Own) -> tuple[list[str], list[str]]:
    """The lines before and after; of the user's log the two halves."""
    if not own.log:
        return sample_lines("before.log"), sample_lines("after.log")
    lines = own.lines()
    return lines[: len(lines) // 2], lines[len(lines) // 2 :]


def _sides_shown(own: Own, before: Sequence[str], after: Sequence[str]) -> str:
    if own.log:
        return f"{Path(own.log).name}, its halves"
    return f"before.log, after.log, {len(before) + len(after):,} lines"


def _expect_exactly(told: Told, what: str, found: Sequence[Change], words: Sequence[str]) -> None:
    strange = [each.template for each in found if not _has_one(each.template, words)]
    told.expect(not strange, f"{what}, but should not be: {'; '.join(strange)}")
    lost = [each for each in words if not any(each in change.template for change in found)]
    told.expect(not lost, f"not {what}, but should be: {'; '.join(lost)}")


def _has_one(template: str, words: Sequence[str]) -> bool:
    return any(each in template for each in words)


def watch(client: Sensorium, own: Own) -> Told:
    """`logs.watch`: having learnt the lines before, it tells of what is new after them."""
    before, after = _sides(own)
    told = Told(_sides_shown(own, before, after).replace(",", ", then", 1))
    with told.timed():
        events = list(
            client.logs.watch(
                [*_batches(before, learn=True), *_batches(after, learn=False)],
                learn_lines=0,
                window_lines=BATCH,
                include_snapshot=False,
            )
        )
    news = _templates(events)
    seen = [event.summary.lines for event in events if event.summary and event.summary.final]
    told.answer = f"{len(news)} patterns not seen before" + (f", first: {news[0]}" if news else "")
    told.expect(seen == [len(before) + len(after)], f"it saw {seen} lines")
    if not own.log:
        lost = [each for each in NEW if not any(each in template for template in news)]
        told.expect(not lost, f"it did not tell of: {'; '.join(lost)}")
        stale = [each for each in news if _has_one(each, OLD)]
        told.expect(not stale, f"it told as new what was there before: {'; '.join(stale)}")
    return told


def _batches(lines: Sequence[str], *, learn: bool) -> list[WatchInput]:
    return [
        WatchInput(lines=list(lines[start : start + BATCH]), learn=learn)
        for start in range(0, len(lines), BATCH)
    ]


def _templates(events: Sequence[WatchEvent]) -> list[str]:
    return [event.pattern.template for event in events if event.pattern is not None]
