"""`sensorium logs cluster --follow`: what is new in a log as it grows."""

import time
from collections.abc import Iterable, Iterator
from itertools import chain

from sensorium.capabilities.logs.watch_schema import (
    RateChange,
    WatchCluster,
    WatchEvent,
    WatchInput,
    WatchSummary,
)
from sensorium.cli.following import sources
from sensorium.cli.logfiles import member
from sensorium.cli.render import Output, note
from sensorium.cli.terminal import OF_SEVERITY, clipped, paint
from sensorium.client import Sensorium

TIMES = "\N{MULTIPLICATION SIGN}"
INDENT, LINES = 10, 2
MAX_LINES, MAX_CHARS = 1_000, 200_000
"""Lines that go in one piece; a server bounds how much that may be."""


def watch(
    client: Sensorium, output: Output, paths: list[str], *, field: str, learn: int, window: int
) -> None:
    """Learn what the files hold, then print what is new in what comes; until interrupted."""
    held, coming = sources(paths)
    there = f"{len(held):,} lines are there already; " if held else ""
    note(f"{there}waiting for more, Ctrl-C ends")
    known = _inputs(_selected(held, field), learn=True)
    events = client.logs.watch(
        chain(known, _coming(coming, field, learn)),
        learn_lines=0,
        window_lines=window,
        include_snapshot=False,
    )
    for event in events:
        if output.as_json:
            output.value(event)
        else:
            _show(output, event)


def _coming(batches: Iterable[list[str]], field: str, learn: int) -> Iterator[WatchInput]:
    """What comes; the first lines, so many as are to be learnt, as such."""
    for batch in batches:
        lines = _selected(batch, field)
        yield from _inputs(lines[:learn], learn=True)
        yield from _inputs(lines[learn:], at_once=True)
        learn = max(0, learn - len(lines))


def _inputs(
    lines: list[str], *, learn: bool = False, at_once: bool = False
) -> Iterator[WatchInput]:
    """The lines in pieces; only after the last is it to be told at once what is new."""
    piece: list[str] = []
    size = 0
    for line in lines:
        if piece and (len(piece) >= MAX_LINES or size + len(line) > MAX_CHARS):
            yield WatchInput(lines=piece, learn=learn)
            piece, size = [], 0
        piece.append(line)
        size += len(line)
    if piece:
        yield WatchInput(lines=piece, learn=learn, at_once=at_once)


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
    indent = " " * INDENT
    output.line(indent + paint(clipped(cluster.template, INDENT, LINES), style))
    if "<*>" in cluster.template:
        output.line(indent + paint(clipped(cluster.example, INDENT, LINES), "dim"))


def _factor(rate: RateChange) -> str:
    count, expected = rate.window_count, rate.expected_count
    if count >= expected:
        return f"{TIMES} {count / expected:.3g}" if expected else "more"
    return f"÷ {expected / count:.3g}" if count else "silent"


def _counts(rate: RateChange) -> str:
    return f"{rate.window_count:,} in the last window, {rate.expected_count:,.1f} usual"


def _amount(summary: WatchSummary) -> str:
    return f"{summary.lines:,} lines, {summary.patterns:,} patterns"
