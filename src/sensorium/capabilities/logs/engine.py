"""`logs.cluster`: lines in, patterns with labels out."""

import gc
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from heapq import nsmallest

from sensorium.capabilities.logs.headers import time_stamp
from sensorium.capabilities.logs.labels import (
    is_trouble,
    label_of,
    severity_of,
    theme_label,
    theme_of,
    worst,
)
from sensorium.capabilities.logs.pacing import Check, paced, release
from sensorium.capabilities.logs.patterns import Pattern, find_patterns
from sensorium.capabilities.logs.records import (
    Joined,
    LineTable,
    Nature,
    header_share,
    join,
)
from sensorium.capabilities.logs.redaction import presentable
from sensorium.capabilities.logs.schema import (
    Cluster,
    ClusterRequest,
    ClusterResponse,
    Other,
    ThemeSummary,
)
from sensorium.core.loading import load
from sensorium.core.operation import WorkContext

COUNT_BLOCK = 50_000
BLOCK = 1_000
"""Lines between two looks at whether the answer is still wanted: about 5 ms of work."""


@dataclass(frozen=True, slots=True)
class Reading:
    """Lines as numbers of their kinds: `joined.records[i]` is the kind of the record of line i."""

    keys: list[str]
    natures: list[Nature]
    joined: Joined
    share: float


@dataclass(slots=True)
class Group:
    """What is known of one pattern's lines; `samples` holds the first line of each of its kinds.

    Dictionaries of numbers and texts, because the garbage collector need not walk them: a call may
    have hundreds of thousands of groups.
    """

    pattern: Pattern
    first: int
    last: int
    count: int = 0
    records: int = 0
    stamped: bool = False
    levels: dict[str, int] = field(default_factory=dict)
    templates: dict[str, int] = field(default_factory=dict)
    samples: dict[int, None] = field(default_factory=dict)

    def add(
        self, template: str, nature: Nature, count: int, records: int, first: int, last: int
    ) -> None:
        """Take in the lines of one kind: `count` of them, between `first` and `last`."""
        self.count += count
        self.records += records
        self.first = min(self.first, first)
        self.last = max(self.last, last)
        self.stamped = self.stamped or nature.stamped
        self.levels[nature.level] = self.levels.get(nature.level, 0) + count
        self.templates[template] = self.templates.get(template, 0) + count
        self.samples[first] = None


@contextmanager
def without_collection() -> Iterator[None]:
    """A stretch without garbage collection.

    Nothing here refers to itself in a circle, and walking millions of texts again and again to find
    that out would take a third of the time, in pauses of half a second.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def read(lines: Sequence[str], *, strip_headers: bool, context: WorkContext) -> Reading:
    """The lines read into kinds, with continuation lines joined to their records."""
    table = LineTable(strip_headers=strip_headers)
    numbers: list[int] = []
    for start in range(0, len(lines), BLOCK):
        context.check()
        context.progress(start, len(lines), "lines")
        numbers += table.add(lines[start : start + BLOCK])
    share = header_share(numbers, table.natures)
    joined = join(numbers, table, share, context.check)
    return Reading(table.keys, table.natures, joined, share)


@dataclass(frozen=True, slots=True)
class Extent:
    """How many lines each kind has, and the indexes of the first and the last."""

    counts: Counter[int]
    first: dict[int, int]
    last: dict[int, int]


def extent(records: Sequence[int], context: WorkContext) -> Extent:
    """Counts and places of the kinds in `records`."""
    counts: Counter[int] = Counter()
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    starts = range(0, len(records), COUNT_BLOCK)
    for start in paced(starts, context.check, 1):
        block = records[start : start + COUNT_BLOCK]
        counts.update(block)
        last.update(zip(block, range(start, start + len(block)), strict=True))
    # Backwards, so that the earliest place of a kind is the one that stays.
    for start in paced(reversed(starts), context.check, 1):
        block = records[start : start + COUNT_BLOCK]
        first.update(zip(reversed(block), reversed(range(start, start + len(block))), strict=True))
    return Extent(counts, first, last)


def group(reading: Reading, context: WorkContext) -> tuple[list[Group], dict[int, Group]]:
    """The patterns of what was read, the largest first; and the pattern of each kind."""
    counted = extent(reading.joined.records, context)
    counts, first, last = counted.counts, counted.first, counted.last
    keys = set(map(reading.keys.__getitem__, counts))
    patterns = find_patterns(keys, context.check)
    by_id: dict[str, Group] = {}
    of_kind: dict[int, Group] = {}
    for kind, count in paced(counts.items(), context.check):
        pattern = patterns[reading.keys[kind]]
        found = by_id.get(pattern.id)
        if found is None:
            found = by_id[pattern.id] = Group(pattern, first[kind], last[kind])
        nature, heads = reading.natures[kind], reading.joined.heads[kind]
        found.add(pattern.template, nature, count, heads, first[kind], last[kind])
        of_kind[kind] = found
    # By one number: a sort of half a million tuples would be one long step.
    span = len(reading.joined.records)
    order = {found.first - found.count * span: found for found in by_id.values()}
    groups = [order[number] for number in sorted(order)]
    release(context.check, patterns, order, by_id, first, last, counts)
    return groups, of_kind


def examples_of(
    found: Group, lines: Sequence[str], wanted: int, *, mask_secrets: bool
) -> list[str]:
    """Up to `wanted` lines of a group, the earliest of each of its kinds."""
    return [
        presentable(lines[index], mask_secrets=mask_secrets)
        for index in nsmallest(wanted, found.samples)
    ]


def describe(found: Group, request: ClusterRequest) -> Cluster:
    """A group as the answer shows it."""
    template = found.pattern.template
    theme = theme_of(found.templates)
    severity = severity_of(found.templates, found.levels)
    first, last = request.lines[found.first], request.lines[found.last]
    return Cluster(
        id=found.pattern.id,
        template=template,
        label=label_of(template, theme, severity),
        theme=theme,
        severity=severity,
        count=found.count,
        records=found.records,
        share=found.count / len(request.lines),
        first_index=found.first,
        last_index=found.last,
        first_time=time_stamp(first) if found.stamped else None,
        last_time=time_stamp(last) if found.stamped else None,
        examples=examples_of(
            found, request.lines, request.examples, mask_secrets=request.mask_secrets
        ),
    )


def summarise(clusters: Sequence[Cluster], total: int) -> list[ThemeSummary]:
    """The subjects of the clusters, those with the most lines first."""
    members: dict[str, list[Cluster]] = defaultdict(list)
    for cluster in clusters:
        members[cluster.theme].append(cluster)
    summaries = []
    for theme, group_of in members.items():
        count = sum(cluster.count for cluster in group_of)
        severity = worst(cluster.severity for cluster in group_of)
        # One failed login among many good ones does not make a subject of failures.
        troubled = sum(cluster.count for cluster in group_of if is_trouble(cluster.severity))
        summaries.append(
            ThemeSummary(
                name=theme,
                label=theme_label(theme, severity if 2 * troubled >= count else "info"),
                severity=severity,
                count=count,
                share=count / total,
                clusters=[cluster.id for cluster in group_of],
            )
        )
    return sorted(summaries, key=lambda summary: (-summary.count, summary.name))


def assign(
    records: Sequence[int], of_kind: dict[int, Group], shown: Sequence[Group], check: Check
) -> list[int]:
    """For each line the place of its group among those shown, or -1."""
    place = {found.pattern.id: index for index, found in enumerate(shown)}
    of_record = {
        kind: place.get(found.pattern.id, -1) for kind, found in paced(of_kind.items(), check)
    }
    check()
    assignments = list(map(of_record.__getitem__, records))
    release(check, of_record)
    return assignments


def answer(
    request: ClusterRequest,
    reading: Reading,
    groups: Sequence[Group],
    of_kind: dict[int, Group],
    context: WorkContext,
) -> ClusterResponse:
    """The response for groups in the order in which they are to be shown."""
    shown, left_out = groups[: request.max_clusters], groups[request.max_clusters :]
    clusters = []
    for index, found in enumerate(shown):
        if index % 100 == 0:
            context.check()
        clusters.append(describe(found, request))
    records = reading.joined.records
    assignments = None
    if request.include_assignments:
        assignments = assign(records, of_kind, shown, context.check)
    return ClusterResponse(
        clusters=clusters,
        assignments=assignments,
        themes=summarise(clusters, len(request.lines)),
        other=Other(clusters=len(left_out), count=sum(found.count for found in left_out)),
        line_count=len(request.lines),
        header_share=reading.share,
    )


def cluster(request: ClusterRequest, context: WorkContext) -> ClusterResponse:
    """Group lines by the pattern of their message, whatever their order.

    Raises:
        CancelledCallError, DeadlineExceededError: see `WorkContext.check`.
    """
    if request.method == "kmeans":
        by_vectors = load("sensorium.capabilities.logs.kmeans:cluster")
        return by_vectors(request, context)  # type: ignore[no-any-return]
    with without_collection():
        reading = read(
            request.lines, strip_headers=request.strip_headers == "auto", context=context
        )
        groups, of_kind = group(reading, context)
        response = answer(request, reading, groups, of_kind, context)
        release(context.check, groups, of_kind, reading.keys)
        return response
