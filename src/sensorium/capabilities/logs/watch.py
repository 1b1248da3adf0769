"""`logs.watch`: a stream of lines in, what is worth telling out.

Lines become signatures in a bounded store (see `store`), patterns are found among the signatures
exactly as `logs.cluster` finds them, and rates are judged per window of log entries against the
windows before (see `rates`). Header and continuation lines are recognised line by line, because a
decision over all lines would hang on what came first.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from sensorium.capabilities.logs.evidence import Tokens
from sensorium.capabilities.logs.history import Histories
from sensorium.capabilities.logs.labels import label_of, severity_of, theme_of
from sensorium.capabilities.logs.masking import tokens_of
from sensorium.capabilities.logs.patterns import Pattern, canonical, patterns_of
from sensorium.capabilities.logs.records import LineTable, Nature
from sensorium.capabilities.logs.redaction import presentable
from sensorium.capabilities.logs.store import Seen, SignatureStore, bounded
from sensorium.capabilities.logs.watch_schema import (
    MAX_EXAMPLE_CHARS,
    RateChange,
    WatchCluster,
    WatchEvent,
    WatchInput,
    WatchRequest,
    WatchSnapshot,
    WatchSummary,
)
from sensorium.core.errors import InvalidInputError
from sensorium.core.operation import WorkContext

BLOCK = 1_000
MAX_TABLE_CHARS = 10_000_000
MAX_NEWS = 100
"""At most so many new patterns are told at once; the rest shows in the next summary."""

EAGER = 2_000
"""Up to so many signatures, patterns are found anew whenever a signature is new."""
GROWTH = 0.25
"""Beyond, when so large a part of the signatures is new, or when a summary is due."""


@dataclass(slots=True)
class Known:
    """A pattern at the last finding, with what its signatures amount to."""

    pattern: Pattern
    seen: Seen
    fresh: bool


def _by_size(known: Iterable[Known]) -> list[Known]:
    return sorted(known, key=lambda found: (-found.seen.count, found.pattern.id))


def _drop(events: Iterator[WatchEvent]) -> None:
    """Let happen what there is to tell, and tell it not."""
    for _ in events:
        pass


def _signature(key: str, nature: Nature) -> tuple[Tokens, str] | None:
    """The signature of a kind of lines and its text; None for continuation lines."""
    if nature.continues:
        return None
    general = canonical(key)
    tokens = tokens_of(general)
    kept = bounded(tokens)
    return kept, general if kept is tokens else " ".join(kept)


class Watch:
    """The state of one watch."""

    def __init__(self, request: WatchRequest, context: WorkContext) -> None:
        self._request = request
        self._context = context
        self._table = LineTable(strip_headers=request.strip_headers == "auto")
        self._signatures: list[tuple[Tokens, str] | None] = []
        self._window: Counter[Tokens] = Counter()
        self._pattern_of: dict[Tokens, str] = {}
        self._known: dict[str, Known] = {}
        self._unfound = 0
        self._store = SignatureStore()
        self._histories = Histories()
        self._lines = 0
        self._records = 0
        self._window_records = 0
        self._untold = 0
        self._learning = False
        if request.snapshot is not None:
            self._restore(request.snapshot)

    def hear(self, chunk: WatchInput) -> Iterator[WatchEvent]:
        """Take in one item; yields what is to be told."""
        if self._learning and not chunk.learn:
            _drop(self.news())
        self._learning = chunk.learn
        if chunk.learn:
            _drop(self.feed(chunk.lines))
            return
        yield from self.feed(chunk.lines)
        if chunk.at_once:
            yield from self.news()

    def feed(self, lines: list[str]) -> Iterator[WatchEvent]:
        """Take in lines; yields what is to be told."""
        start = 0
        while start < len(lines):
            self._context.check()
            room = self._request.window_lines - self._window_records
            block = lines[start : start + min(BLOCK, room)]
            start += len(block)
            self._take(block)
            if self._window_records >= self._request.window_lines:
                yield from self._end_window()

    def finish(self) -> Iterator[WatchEvent]:
        """The last summary, and the snapshot if one is wanted."""
        if self._learning:
            _drop(self.news())
        self._find()
        yield from self._news()
        yield self._event("summary", summary=self._summary(final=True))
        if self._request.include_snapshot:
            yield self._event("snapshot", snapshot=self._snapshot())

    def news(self) -> Iterator[WatchEvent]:
        """The patterns that were not told yet."""
        if self._unfound:
            self._find()
        yield from self._news()

    def _take(self, lines: list[str]) -> None:
        table = self._table
        if table.chars > MAX_TABLE_CHARS:
            table = self._table = LineTable(strip_headers=self._request.strip_headers == "auto")
            self._signatures = []
        numbers = table.add(lines)
        known = len(self._signatures)
        self._signatures += map(_signature, table.keys[known:], table.natures[known:])
        counts = Counter(numbers)
        earliest_of: dict[int, str] = {}
        for number, line in zip(numbers, lines, strict=True):
            if number not in earliest_of or line < earliest_of[number]:
                earliest_of[number] = line
        for number, count in counts.items():
            signature = self._signatures[number]
            if signature is None:
                continue
            tokens, text = signature
            seen = Seen(
                text=text,
                count=count,
                levels=Counter({table.natures[number].level: count}),
                example=earliest_of[number][:MAX_EXAMPLE_CHARS],
            )
            kept = self._store.add(tokens, seen)
            self._window[kept] += count
            self._unfound += kept not in self._pattern_of
            self._records += count
            self._window_records += count
        self._lines += len(lines)

    def _end_window(self) -> Iterator[WatchEvent]:
        summary_due = (
            self._records // self._request.summary_lines
            > (self._records - self._window_records) // self._request.summary_lines
        )
        much = self._unfound > GROWTH * len(self._store)
        if self._unfound and (len(self._store) <= EAGER or much or summary_due):
            self._find()
        yield from self._news()
        yield from self._judge()
        self._window.clear()
        self._window_records = 0
        if summary_due:
            yield self._event("summary", summary=self._summary(final=False))

    def _find(self) -> None:
        """Find the patterns among all signatures, and carry histories over to them."""
        signatures = dict(self._store.items())
        patterns = patterns_of(
            {tokens: seen.text for tokens, seen in signatures.items()}, self._context.check
        )
        known: dict[str, Known] = {}
        before: dict[str, set[str]] = {}
        for tokens, seen in signatures.items():
            pattern = patterns[tokens]
            found = known.get(pattern.id)
            if found is None:
                found = known[pattern.id] = Known(pattern, Seen(), fresh=True)
            found.seen.absorb(seen)
            found.fresh = found.fresh and not seen.known
            if tokens in self._pattern_of:
                before.setdefault(pattern.id, set()).add(self._pattern_of[tokens])
        self._histories.carry_over(before)
        self._known = known
        self._pattern_of = {tokens: pattern.id for tokens, pattern in patterns.items()}
        self._unfound = 0

    def _news(self) -> Iterator[WatchEvent]:
        learning = self._records <= self._request.learn_lines
        fresh = [found for found in _by_size(self._known.values()) if found.fresh]
        for found in fresh:
            found.fresh = False
        if not learning:
            for found in fresh[:MAX_NEWS]:
                yield self._event("pattern", pattern=self._cluster(found))
            self._untold += max(0, len(fresh) - MAX_NEWS)
        for tokens, seen in self._store.items():
            seen.known = seen.known or tokens in self._pattern_of

    def _judge(self) -> Iterator[WatchEvent]:
        counts: Counter[str] = Counter()
        for tokens, count in self._window.items():
            if tokens in self._pattern_of:
                counts[self._pattern_of[tokens]] += count
        changes = self._histories.judge(
            counts,
            min_change=self._request.min_change,
            false_alarm_rate=self._request.false_alarm_rate,
        )
        for change in changes:
            if change.id in self._known:
                yield self._event(
                    "rate",
                    rate=RateChange(
                        cluster=self._cluster(self._known[change.id]),
                        window_count=change.seen,
                        expected_count=change.expected,
                        p_value=change.p_value,
                    ),
                )

    def _cluster(self, found: Known) -> WatchCluster:
        template = found.pattern.template
        theme = theme_of({template: 1})
        severity = severity_of({template: 1}, found.seen.levels)
        return WatchCluster(
            id=found.pattern.id,
            template=template,
            label=label_of(template, theme, severity),
            theme=theme,
            severity=severity,
            count=found.seen.count,
            share=found.seen.count / self._records,
            example=presentable(found.seen.example, mask_secrets=self._request.mask_secrets),
        )

    def _summary(self, *, final: bool) -> WatchSummary:
        ordered = _by_size(self._known.values())
        return WatchSummary(
            lines=self._lines,
            records=self._records,
            patterns=len(ordered),
            clusters=[self._cluster(found) for found in ordered[: self._request.max_clusters]],
            untold=self._untold,
            coarsened=self._store.coarsened,
            final=final,
        )

    def _snapshot(self) -> WatchSnapshot:
        for seen in dict(self._store.items()).values():
            # A snapshot is kept by others: what it holds is masked whatever the caller sees.
            seen.example = presentable(seen.example, mask_secrets=True)
        return WatchSnapshot(
            lines=self._lines,
            records=self._records,
            level=self._store.level,
            families=self._store.export(),
            histories=self._histories.export(),
        )

    def _restore(self, snapshot: WatchSnapshot) -> None:
        try:
            self._store = SignatureStore.restore(snapshot.level, snapshot.families)
        except ValueError as error:
            raise InvalidInputError(f"the snapshot does not hold together: {error}") from error
        self._histories = Histories.restore(snapshot.histories)
        self._lines, self._records = snapshot.lines, snapshot.records
        self._find()

    def _event(self, kind: str, **fields: object) -> WatchEvent:
        return WatchEvent(kind=kind, records=self._records, **fields)  # type: ignore[arg-type]


def watch(
    request: WatchRequest, incoming: Iterator[WatchInput], context: WorkContext
) -> Iterator[WatchEvent]:
    """Watch lines as they come: new patterns, changed rates, summaries, a last snapshot.

    Raises:
        InvalidInputError: the snapshot does not hold together.
        CancelledCallError, DeadlineExceededError: see `WorkContext.check`.
    """
    state = Watch(request, context)
    for chunk in incoming:
        yield from state.hear(chunk)
    yield from state.finish()
