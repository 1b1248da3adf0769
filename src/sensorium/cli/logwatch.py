"""`sensorium logs cluster --follow`: what is new in a log as it grows."""

import time
from collections.abc import Iterable, Iterator
from itertools import chain

from sensorium.capabilities.logs.watch_schema import (
    RateChange,
    WatchCluster,
    WatchEvent,
    WatchInput,
    WatchSnapshot,
    WatchSummary,
)
from sensorium.cli.colour import OF_SEVERITY, paint
from sensorium.cli.following import sources
from sensorium.cli.logfiles import member
from sensorium.cli.render import Output, note
from sensorium.client import Sensorium

TIMES = "\N{MULTIPLICATION SIGN}"
ALL = 10_000_000
"""As many lines to learn as the operation takes."""
MAX_LINES, MAX_CHARS = 1_000, 200_000
"""Lines that go in one piece; a server bounds how much that may be."""


def watch(
    client: Sensorium, output: Output, paths: list[str], *, field: str, learn: int, window: int
) -> None:
    """Learn what the files hold, then print what is new in what comes; until interrupted."""
    held, coming = sources(paths)
    snapshot = _learn(client, _selected(held, field), window)
    summary = f"{len(held):,} lines are there already; " if held else ""
    note(f"{summary}waiting for more, Ctrl-C ends")
    events = client.logs.watch(
        chain.from_iterable(_inputs(_selected(lines, field), at_once=True) for lines in coming),
        learn_lines=learn + (snapshot.records if snapshot else 0) if learn else 0,
        window_lines=window,
        include_snapshot=False,
        snapshot=snapshot,
    )
    for event in events:
        if output.as_json:
            output.value(event)
        else:
            _show(output, event)


def _learn(client: Sensorium, lines: list[str], window: int) -> WatchSnapshot | None:
    if not lines:
        return None
    events = client.logs.watch(
        _inputs(lines, at_once=False), learn_lines=ALL, window_lines=window, summary_lines=ALL
    )
    found: WatchSnapshot | None = None
    for event in events:
        found = event.snapshot or found
    return found


def _inputs(lines: list[str], *, at_once: bool) -> Iterator[WatchInput]:
    piece: list[str] = []
    size = 0
    for line in lines:
        if piece and (len(piece) >= MAX_LINES or size + len(line) > MAX_CHARS):
            yield WatchInput(lines=piece)
            piece, size = [], 0
        piece.append(line)
        size += len(line)
    if piece:
        yield WatchInput(lines=piece, at_once=at_once)


def _selected(lines: Iterable[str], field: str) -> list[str]:
    if not field:
        return list(lines)
    return [text for text in (member(line, field) for line in lines) if text is not None]


def _show(output: Output, event: WatchEvent) -> None:
    if event.pattern is not None:
        _tell(output, "new", event.pattern, "")
    elif event.rate is not None:
        _tell(output, _factor(event.rate), event.rate.cluster, _counts(event.rate))
    elif event.summary is not None and event.summary.final:
        note(_amount(event.summary))


def _tell(output: Output, what: str, cluster: WatchCluster, detail: str) -> None:
    now = time.strftime("%H:%M:%S")
    parts = (now, what, cluster.severity, cluster.label, cluster.template, detail)
    if not output.drawn:
        output.table([], [parts])
        return
    style = OF_SEVERITY.get(cluster.severity, "")
    head = f"{now}  {what:<8} {cluster.severity:<9}"
    output.line(f"{paint(head, style or 'bold')} {paint(cluster.label, 'bold')}  {detail}".rstrip())
    output.line(f"          {paint(cluster.template, style)}")
    if "<*>" in cluster.template:
        output.line(f"          {paint(cluster.example, 'dim')}")


def _factor(rate: RateChange) -> str:
    count, expected = rate.window_count, rate.expected_count
    if count >= expected:
        return f"{TIMES} {count / expected:.3g}" if expected else "more"
    return f"÷ {expected / count:.3g}" if count else "silent"


def _counts(rate: RateChange) -> str:
    return f"{rate.window_count:,} in the last window, {rate.expected_count:,.1f} usual"


def _amount(summary: WatchSummary) -> str:
    return f"{summary.lines:,} lines, {summary.patterns:,} patterns"
