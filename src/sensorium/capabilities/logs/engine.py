"""`logs.cluster`: lines in, patterns with labels out."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from heapq import nsmallest

from sensorium.capabilities.logs.headers import time_stamp
from sensorium.capabilities.logs.labels import (
    label_of,
    severity_of,
    theme_label,
    theme_of,
    worst,
)
from sensorium.capabilities.logs.patterns import Pattern, find_patterns
from sensorium.capabilities.logs.records import (
    HEADERS_ARE_REAL,
    Entry,
    Joined,
    LineTable,
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

BLOCK = 1_000
"""Lines between two looks at whether the answer is still wanted: about 5 ms of work."""


@dataclass(frozen=True, slots=True)
class Reading:
    """Lines as numbers of their kinds: `joined.records[i]` is the kind of the record of line i."""

    entries: list[Entry]
    joined: Joined
    share: float


@dataclass(slots=True)
class Group:
    """What is known of one pattern's lines; `samples` are indexes of lines of its kinds."""

    pattern: Pattern
    first: int
    last: int
    count: int = 0
    records: int = 0
    stamped: bool = False
    levels: Counter[str] = field(default_factory=Counter)
    samples: list[int] = field(default_factory=list)


def read(lines: Sequence[str], *, strip_headers: bool, context: WorkContext) -> Reading:
    """The lines read into kinds, with continuation lines joined to their records."""
    table = LineTable(strip_headers=strip_headers)
    numbers: list[int] = []
    for start in range(0, len(lines), BLOCK):
        context.check()
        context.progress(start, len(lines), "lines")
        numbers += table.add(lines[start : start + BLOCK])
    share = header_share(numbers, table.entries)
    if 0 < share < HEADERS_ARE_REAL:
        return read(lines, strip_headers=False, context=context)
    return Reading(table.entries, join(numbers, table.entries, share), share)


def group(reading: Reading, context: WorkContext) -> tuple[list[Group], dict[int, Group]]:
    """The patterns of what was read, the largest first; and the pattern of each kind."""
    records = reading.joined.records
    counts = Counter(records)
    context.check()
    first = dict(zip(reversed(records), range(len(records) - 1, -1, -1), strict=True))
    context.check()
    last = dict(zip(records, range(len(records)), strict=True))
    keys = {reading.entries[kind].key for kind in counts}
    patterns = find_patterns(keys, context.check)
    by_id: dict[str, Group] = {}
    of_kind: dict[int, Group] = {}
    for kind, count in counts.items():
        entry = reading.entries[kind]
        pattern = patterns[entry.key]
        found = by_id.get(pattern.id)
        if found is None:
            found = by_id[pattern.id] = Group(pattern, first[kind], last[kind])
        found.count += count
        found.records += reading.joined.heads[kind]
        found.first = min(found.first, first[kind])
        found.last = max(found.last, last[kind])
        found.stamped = found.stamped or entry.stamped
        found.levels[entry.level] += count
        found.samples.append(first[kind])
        of_kind[kind] = found
    return sorted(by_id.values(), key=lambda found: (-found.count, found.first)), of_kind


def describe(found: Group, request: ClusterRequest) -> Cluster:
    """A group as the answer shows it."""
    template = found.pattern.template
    theme = theme_of({template: found.count})
    severity = severity_of(template, found.levels)
    samples = nsmallest(request.examples, found.samples)
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
        examples=[
            presentable(request.lines[index], mask_secrets=request.mask_secrets)
            for index in samples
        ],
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
        summaries.append(
            ThemeSummary(
                name=theme,
                label=theme_label(theme, severity),
                severity=severity,
                count=count,
                share=count / total,
                clusters=[cluster.id for cluster in group_of],
            )
        )
    return sorted(summaries, key=lambda summary: (-summary.count, summary.name))


def assign(
    records: Sequence[int], of_kind: dict[int, Group], shown: Sequence[Group]
) -> list[int]:
    """For each line the place of its group among those shown, or -1."""
    place = {found.pattern.id: index for index, found in enumerate(shown)}
    of_record = {kind: place.get(found.pattern.id, -1) for kind, found in of_kind.items()}
    return list(map(of_record.__getitem__, records))


def cluster(request: ClusterRequest, context: WorkContext) -> ClusterResponse:
    """Group lines by the pattern of their message, whatever their order.

    Raises:
        CancelledCallError, DeadlineExceededError: see `WorkContext.check`.
    """
    if request.method == "kmeans":
        by_vectors = load("sensorium.capabilities.logs.kmeans:cluster")
        return by_vectors(request, context)  # type: ignore[no-any-return]
    total = len(request.lines)
    reading = read(request.lines, strip_headers=request.strip_headers == "auto", context=context)
    groups, of_kind = group(reading, context)
    shown = groups[: request.max_clusters]
    clusters = []
    for index, found in enumerate(shown):
        if index % 100 == 0:
            context.check()
        clusters.append(describe(found, request))
    left_out = groups[request.max_clusters :]
    return ClusterResponse(
        clusters=clusters,
        assignments=(
            assign(reading.joined.records, of_kind, shown) if request.include_assignments else None
        ),
        themes=summarise(clusters, total),
        other=Other(clusters=len(left_out), count=sum(found.count for found in left_out)),
        line_count=total,
        header_share=reading.share,
    )
