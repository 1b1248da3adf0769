"""`logs.compare`: what is new, gone, or changed in rate between two sets of lines."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from sensorium.capabilities.logs.engine import (
    Group,
    Reading,
    examples_of,
    group,
    read,
    without_collection,
)
from sensorium.capabilities.logs.labels import is_trouble, label_of, rank, severity_of, theme_of
from sensorium.capabilities.logs.rates import (
    STRETCHES,
    dispersion,
    log_likelihood_ratio,
    p_value,
    significant,
)
from sensorium.capabilities.logs.schema import Change, CompareRequest, CompareResponse
from sensorium.core.operation import WorkContext

BLOCK = 200_000


@dataclass(frozen=True, slots=True)
class _Judged:
    """A pattern with its counts by stretch on both sides, and its p-value."""

    group: Group
    before: int
    after: int
    p_value: float


def _by_stretch(
    reading: Reading, of_kind: dict[int, Group], size: int, context: WorkContext
) -> dict[str, list[list[int]]]:
    """Pattern id -> counts in the stretches of each side; the first `size` lines are before."""
    records = reading.joined.records
    counts: dict[str, list[list[int]]] = {}
    for side, (begin, end) in enumerate(((0, size), (size, len(records)))):
        bounds = [begin + (end - begin) * part // STRETCHES for part in range(STRETCHES + 1)]
        for part, (start, stop) in enumerate(pairwise(bounds)):
            tally: Counter[int] = Counter()
            for at in range(start, stop, BLOCK):
                context.check()
                tally.update(records[at : min(at + BLOCK, stop)])
            for kind, lines in tally.items():
                sides = counts.setdefault(
                    of_kind[kind].pattern.id, [[0] * STRETCHES for _ in range(2)]
                )
                sides[side][part] += lines
    return counts


def _judge(found: Group, sides: list[list[int]], before: int, after: int) -> _Judged:
    seen_before, seen_after = sum(sides[0]), sum(sides[1])
    ratio = log_likelihood_ratio(seen_before, seen_after, before, after)
    # Where one side has none at all, the stretches tell when it began, not how bursty it is.
    bursts = dispersion(sides) if seen_before and seen_after else 1.0
    return _Judged(found, seen_before, seen_after, p_value(ratio / bursts))


def _change(judged: _Judged, lines: Sequence[str], request: CompareRequest) -> Change:
    before = 1_000 * judged.before / len(request.before) if request.before else 0.0
    after = 1_000 * judged.after / len(request.after) if request.after else 0.0
    found = judged.group
    theme = theme_of(found.templates)
    severity = severity_of(found.templates, found.levels)
    return Change(
        id=found.pattern.id,
        template=found.pattern.template,
        label=label_of(found.pattern.template, theme, severity),
        theme=theme,
        severity=severity,
        before_count=judged.before,
        after_count=judged.after,
        before_rate=before,
        after_rate=after,
        factor=after / before if before else None,
        p_value=judged.p_value,
        examples=examples_of(found, lines, request.examples, mask_secrets=request.mask_secrets),
    )


def _weight(change: Change) -> tuple[bool, int, float, str]:
    """What to show first: trouble, then the gravest, then the largest difference."""
    difference = abs(change.after_rate - change.before_rate)
    return (not is_trouble(change.severity), -rank(change.severity), -difference, change.id)


def _differs(change: Change, least: float) -> bool:
    low, high = sorted((change.before_rate, change.after_rate))
    return high >= least * low


def compare(request: CompareRequest, context: WorkContext) -> CompareResponse:
    """Patterns of both sides, found together, and those whose rate per line differs.

    Raises:
        CancelledCallError, DeadlineExceededError: see `WorkContext.check`.
    """
    with without_collection():
        return _compare(request, context)


def _compare(request: CompareRequest, context: WorkContext) -> CompareResponse:
    before, after = len(request.before), len(request.after)
    lines = [*request.before, *request.after]
    reading = read(lines, strip_headers=request.strip_headers == "auto", context=context)
    groups, of_kind = group(reading, context)
    counts = _by_stretch(reading, of_kind, before, context)
    judged = [_judge(found, counts[found.pattern.id], before, after) for found in groups]
    sure = significant([one.p_value for one in judged], request.false_alarm_rate)
    lists: dict[str, list[Change]] = {"new": [], "gone": [], "changed": [], "uncertain": []}
    for index, (one, is_sure) in enumerate(zip(judged, sure, strict=True)):
        if index % 100 == 0:
            context.check()
        one_sided = not (one.before and one.after)
        if not (is_sure or one_sided):
            continue
        change = _change(one, lines, request)
        if one_sided and is_sure:
            lists["gone" if one.before else "new"].append(change)
        elif one_sided:
            lists["uncertain"].append(change)
        elif _differs(change, request.min_change):
            lists["changed"].append(change)
    shown = {
        name: sorted(changes, key=_weight)[: request.max_changes] for name, changes in lists.items()
    }
    return CompareResponse(**shown, before_lines=before, after_lines=after, patterns=len(groups))
